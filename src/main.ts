/**
 * Nexus on Bun: the command line, and nothing else.
 */
import { run } from "./cli/run.ts"

run(process.argv.slice(2))
