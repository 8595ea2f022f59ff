import { packageConfig } from "../../tools/tsup.ts";

export default packageConfig({ index: "src/index.ts" });
