import { packageConfig } from "../../tools/tsup.ts";

export default packageConfig({ index: "src/index.ts", node: "src/node/index.ts" });
