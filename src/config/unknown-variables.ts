/**
 * Variables that begin with `NEXUS_` and set nothing here: whose they are, or which one was meant.
 */
import { nearest } from "./nearest.ts"
import { showPath } from "./path.ts"
import { keyEntries, keysAt, lazy } from "./reference.ts"

/** What is said of them: warnings of those that may be mistakes, notes of those that belong to somebody else. */
export interface UnknownVariables {
  readonly warnings: ReadonlyArray<string>
  readonly notes: ReadonlyArray<string>
}

const prefix = "NEXUS_"

const linkNames = /_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(START|END|ADDR|PORT|PROTO))?)$/

/** Whether a variable tells where another service listens, as Kubernetes and Docker's links set it for a service of this name. */
export const isServiceLink = (name: string, value: string): boolean =>
  linkNames.test(name) ||
  (name.endsWith("_PORT") && /^(tcp|udp|sctp):\/\//i.test(value.trim())) ||
  (name.endsWith("_NAME") && /^\/[^/\s]+\/[^/\s]+$/.test(value.trim()))

// Sonatype Nexus and what is built around it, Nexus Mods, and whatever else bears the name.
const products =
  /^(IQ|OSS|PRO|EDITION|VERSION|REPOS?|REPOSITORY|REPOSITORIES|REGISTRY|MAVEN|NPM|PYPI|PIP|DOCKER|HELM|NUGET|RAW|ADMIN|CI|DEPLOY|DEPLOYER|DEPLOYMENT|PUBLISH|RELEASES?|SNAPSHOTS?|SECURITY|DATASTORE|JDBC|SONATYPE|MODS|PHP)(_|$)|(^|_)(URL|URI|USER|USERNAME|LOGIN|PASS|PASSWORD|PASSWD|PWD|TOKEN|APIKEY|API_KEY|CREDENTIALS?|CREDS|HOME|DATA|CONTEXT|CONTEXT_PATH|REPO|REPOSITORY)$/

const upper = (key: string): string => key.replaceAll(".", "_").toUpperCase()

/** Sections of the file, as names of variables begin with them. */
const sections = lazy(() => (keysAt([]) ?? []).map(upper))

const sectionOf = (rest: string): string | undefined =>
  sections().find((each) => rest === each || rest.startsWith(`${each}_`))

/** Keys that hold more than one value. */
const wholes = lazy((): ReadonlyArray<string> => {
  const found = keyEntries().flatMap(({ path, node }) => {
    const item = path.indexOf(0)
    if (item !== -1) return [showPath(path.slice(0, item))]
    return node["type"] === "array" || node["type"] === "object" ? [showPath(path)] : []
  })
  return [...new Set(found)]
})

const wholeOf = (rest: string): string | undefined =>
  wholes().find((key) => rest === upper(key) || rest.startsWith(`${upper(key)}_`))

/** The variable that was most likely meant: nearly the same, or the same without its section. */
const meantBy = (rest: string, known: ReadonlyArray<string>): string | undefined => {
  const section = sectionOf(rest)
  // What all keys of a section have in common makes none of them the nearer.
  const start = prefix + (section === undefined ? "" : `${section}_`)
  const names = known.filter((name) => name.startsWith(start)).map((name) => name.slice(start.length))
  const near = nearest((prefix + rest).slice(start.length), names)
  return near === undefined ? known.find((name) => name.endsWith(`_${rest}`)) : start + near
}

const unknown = (name: string, known: ReadonlyArray<string>): string => {
  const rest = name.slice(prefix.length)
  const whole = wholeOf(rest)
  if (whole !== undefined) return `${name} has no effect: ${whole} stands in the file alone`
  const meant = meantBy(rest, known)
  return `unknown variable ${name} has no effect${meant === undefined ? "" : `; did you mean ${meant}?`}`
}

const some = (names: ReadonlyArray<string>): string =>
  names.length <= 3 ? names.join(", ") : `${names.slice(0, 2).join(", ")} and ${names.length - 2} more`

const note = (names: ReadonlyArray<string>, whose: string): ReadonlyArray<string> =>
  names.length === 0 ? [] : [`${some(names)}: ${whose}, no setting of Nexus`]

/** Tells of variables that set nothing; `known` are the names of those that do. */
export const unknownVariables = (
  given: ReadonlyArray<{ readonly name: string; readonly value: string }>,
  known: ReadonlyArray<string>
): UnknownVariables => {
  const links = given.filter(({ name, value }) => isServiceLink(name, value)).map(({ name }) => name)
  const others = given.map(({ name }) => name).filter((name) => !links.includes(name))
  // What the container itself had is handed on by Docker's links under such names.
  const inherited = (name: string): boolean => links.length > 0 && name.startsWith("NEXUS_ENV_")
  const isForeign = (name: string): boolean => {
    const rest = name.slice(prefix.length)
    return sectionOf(rest) === undefined && products.test(rest)
  }
  return {
    warnings: others.filter((name) => !inherited(name) && !isForeign(name)).map((name) => unknown(name, known)),
    notes: [
      ...note([...links, ...others.filter(inherited)], "set by Kubernetes or Docker for a service of that name"),
      ...note(
        others.filter((name) => !inherited(name) && isForeign(name)),
        "of another product called Nexus"
      )
    ]
  }
}
