import { packageConfig } from "../../tools/tsup.ts";

// The command line ships no declarations: nobody imports it.
export default packageConfig({ main: "src/main.ts" }, { dts: false });
