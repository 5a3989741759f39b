/**
 * The property list of Nexus for launchd.
 */
import {
  type Job,
  type ServiceManager,
  marginSeconds,
  writtenBy,
  openFilesLimit,
  type ServicePaths,
  restartSeconds,
  type ServiceScope,
  type Step
} from "./job.ts"

const label = "local.nexus"

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;" }

// Text between two tags; characters that no XML may hold are the caller's to keep out.
const xmlText = (text: string): string => text.replace(/[&<>\r]/g, (char) => entities[char] ?? char)

type Value = string | number | boolean | ReadonlyArray<string> | { readonly [key: string]: Value }

const rendered = (value: Value, indent: string): string => {
  const inner = `${indent}  `
  if (typeof value === "string") return `${indent}<string>${xmlText(value)}</string>`
  if (typeof value === "number") return `${indent}<integer>${value}</integer>`
  if (typeof value === "boolean") return `${indent}<${value}/>`
  const isList = (of: typeof value): of is ReadonlyArray<string> => Array.isArray(of)
  if (isList(value))
    return `${indent}<array>\n${value.map((each) => rendered(each, inner)).join("\n")}\n${indent}</array>`
  const entries = Object.entries(value).map(
    ([key, each]) => `${inner}<key>${xmlText(key)}</key>\n${rendered(each, inner)}`
  )
  return `${indent}<dict>\n${entries.join("\n")}\n${indent}</dict>`
}

const logFile = (scope: ServiceScope, { home }: ServicePaths): string =>
  `${scope === "system" ? "" : home}/Library/Logs/nexus.log`

// Without an account a service of the machine would run as root, which Nexus has no use for.
const propertyList = ({ command, scope, account, graceSeconds }: Job, places: ServicePaths): string => {
  const log = logFile(scope, places)
  const dict = {
    Label: label,
    ProgramArguments: [...command],
    ...(scope === "system" ? { UserName: account ?? "nobody" } : {}),
    RunAtLoad: true,
    KeepAlive: { SuccessfulExit: false },
    ThrottleInterval: restartSeconds,
    ExitTimeOut: Math.ceil(graceSeconds) + marginSeconds,
    ProcessType: "Interactive",
    SoftResourceLimits: { NumberOfFiles: openFilesLimit },
    StandardOutPath: log,
    StandardErrorPath: log
  }
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
    `<!-- ${writtenBy}; \`nexus service uninstall\` removes it. -->`,
    '<plist version="1.0">',
    rendered(dict, ""),
    "</plist>",
    ""
  ].join("\n")
}

const domain = (scope: ServiceScope, { uid }: ServicePaths): string => (scope === "system" ? "system" : `gui/${uid}`)

const bootout = (scope: ServiceScope, places: ServicePaths): Step => ({
  run: ["launchctl", "bootout", `${domain(scope, places)}/${label}`],
  // It may not be running.
  mayFail: true
})

/** launchd, on macOS. */
export const launchd: ServiceManager = {
  name: "launchd",
  file: (scope, { home }) =>
    scope === "system" ? `/Library/LaunchDaemons/${label}.plist` : `${home}/Library/LaunchAgents/${label}.plist`,
  text: propertyList,
  links: () => [],
  start: (scope, places, known) => [
    ...(known ? [bootout(scope, places)] : []),
    { run: ["launchctl", "bootstrap", domain(scope, places), launchd.file(scope, places)], mayFail: false }
  ],
  end: (scope, places) => [bootout(scope, places)],
  hints: (scope, places) => [`Its log: tail -f ${logFile(scope, places)}`],
  environment: () => undefined
}
