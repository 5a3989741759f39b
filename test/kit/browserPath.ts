/**
 * Where a real browser is: the program that CHROMIUM names, else one in its usual places.
 */
import { existsSync } from "node:fs"

const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]

/** The program; undefined where there is none. */
export const browserPath = [process.env["CHROMIUM"] ?? "", ...places].find((path) => path !== "" && existsSync(path))
