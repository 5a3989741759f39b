/**
 * Nexus on Bun: the command line, and nothing else.
 */
import { liftCeiling } from "./cli/ceiling.ts"

liftCeiling()
void import("./cli/run.ts").then(({ run }) => run(process.argv.slice(2)))
