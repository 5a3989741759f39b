/**
 * What is started where the program is tested as a process.
 */
import { join } from "node:path"

// The checks build it first, for that is what users run, and it is there sooner.
const binary = process.env["PROGRAM_UNDER_TEST"]

/** The command line of a program without its arguments. */
export type Program = readonly [string, ...ReadonlyArray<string>]

/** The program from its source, for what only Bun itself can be told. */
export const fromSource: Program = [process.execPath, join(import.meta.dir, "../../src/main.ts")]

/** The program: the built file where it is named, else its source. */
export const program: Program = binary === undefined ? fromSource : [binary]

/** The same as a word of a shell script. */
export const programInShell = program.map((word) => `'${word}'`).join(" ")
