/** The data folder. This file and the built ones lie one folder below the package's root, so that the address fits both. */
export const dataUrl: URL = new URL("../data/", import.meta.url);
