/**
 * Has all laws begin at the seed that LAWS_SEED names, so that a run of the checks says the same each time; at another one in each
 * run where it names none.
 */
import fc from "fast-check"

const seed = process.env["LAWS_SEED"]
if (seed !== undefined) fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(seed) })
