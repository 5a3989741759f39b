/**
 * The version of this program, as package.json has it.
 */
export { version } from "../../package.json"
