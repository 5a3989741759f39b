/**
 * The unit of Nexus for systemd.
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

const unit = "nexus.service"

const controls: ReadonlyMap<string, string> = new Map([
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"]
])

// oxlint-disable-next-line no-control-regex -- reason: control characters are what this is about
const special = /[\u0000-\u001f\u007f"\\%]/g

const escaped = (char: string): string =>
  char === "%"
    ? "%%"
    : char === '"' || char === "\\"
      ? `\\${char}`
      : (controls.get(char) ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`)

/** A word as it stands in a unit: quoted, with no meaning left to any of its characters. */
const word = (text: string): string => {
  const inside = text.replace(special, escaped)
  return inside === text && /^[A-Za-z0-9/._=:,@+-]+$/.test(text) ? text : `"${inside}"`
}

// systemd takes no program whose name holds one of these; a shell does.
const refused = /["'\\]/

const whole = (command: Job["command"]): Job["command"] =>
  refused.test(command[0]) ? ["/bin/sh", "-c", 'exec "$@"', "sh", ...command] : command

/** The value of `ExecStart`; variables are replaced in arguments, but not in the name of the program. */
export const commandLine = (command: Job["command"]): string => {
  const [program, ...args] = whole(command)
  return [word(program), ...args.map((arg) => word(arg).replaceAll("$", "$$$$"))].join(" ")
}

/** What neither scope can do without harm is left out: JavaScript is compiled as it runs (MemoryDenyWriteExecute). */
const hardening = [
  "NoNewPrivileges=yes",
  "LockPersonality=yes",
  "RestrictRealtime=yes",
  "RestrictSUIDSGID=yes",
  "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
  "SystemCallArchitectures=native"
]

const systemHardening = (lowPort: boolean) => [
  "ProtectSystem=strict",
  "ProtectHome=read-only",
  "ProtectKernelTunables=yes",
  "ProtectKernelModules=yes",
  "ProtectKernelLogs=yes",
  "ProtectControlGroups=yes",
  "ProtectClock=yes",
  "ProtectHostname=yes",
  "PrivateTmp=yes",
  "PrivateDevices=yes",
  "RestrictNamespaces=yes",
  "UMask=0077",
  ...(lowPort
    ? ["CapabilityBoundingSet=CAP_NET_BIND_SERVICE", "AmbientCapabilities=CAP_NET_BIND_SERVICE"]
    : ["CapabilityBoundingSet="])
]

const unitText = ({ command, scope, account, graceSeconds, lowPort }: Job): string => {
  const isSystem = scope === "system"
  return [
    `# ${writtenBy}; \`nexus service uninstall\` removes it.`,
    "[Unit]",
    "Description=Nexus, one OpenAI-compatible endpoint in front of LLM servers",
    ...(isSystem ? ["Wants=network-online.target", "After=network-online.target"] : []),
    "",
    "[Service]",
    "Type=exec",
    `ExecStart=${commandLine(command)}`,
    "ExecReload=/bin/kill -HUP $MAINPID",
    "# Variables that the config speaks of, NAME=value a line.",
    "EnvironmentFile=-%E/nexus/nexus.env",
    ...(isSystem ? [account === undefined ? "DynamicUser=yes" : `User=${account}`] : []),
    "Restart=on-failure",
    `RestartSec=${restartSeconds}`,
    "# Its own workers are told by the gateway.",
    "KillMode=mixed",
    "KillSignal=SIGTERM",
    `TimeoutStopSec=${Math.ceil(graceSeconds) + marginSeconds}`,
    `LimitNOFILE=${openFilesLimit}`,
    ...hardening,
    ...(isSystem ? systemHardening(lowPort) : []),
    "",
    "[Install]",
    `WantedBy=${target(scope)}`,
    ""
  ].join("\n")
}

const directory = (scope: ServiceScope, { config }: ServicePaths): string =>
  scope === "system" ? "/etc/systemd/system" : `${config}/systemd/user`

const target = (scope: ServiceScope): string => (scope === "system" ? "multi-user.target" : "default.target")

const systemctl = (scope: ServiceScope, ...args: ReadonlyArray<string>): Step => ({
  run: ["systemctl", ...(scope === "user" ? ["--user"] : []), ...args],
  mayFail: args[0] === "stop"
})

/** systemd, on most of Linux. */
export const systemd: ServiceManager = {
  name: "systemd",
  file: (scope, places) => `${directory(scope, places)}/${unit}`,
  text: unitText,
  links: (scope, places) => [`${directory(scope, places)}/${target(scope)}.wants/${unit}`],
  start: (scope, _, known) => [
    systemctl(scope, "daemon-reload"),
    systemctl(scope, "enable", "--now", unit),
    ...(known ? [systemctl(scope, "restart", unit)] : [])
  ],
  // A unit that runs is known until the reload, with or without its file.
  end: (scope) => [systemctl(scope, "stop", unit), systemctl(scope, "daemon-reload")],
  hints: (scope) => [
    `Its log: journalctl ${scope === "user" ? "--user " : ""}-u nexus -f`,
    ...(scope === "user" ? ["To have it run while you are not logged in: loginctl enable-linger"] : [])
  ],
  environment: (scope, { config }) => `${scope === "system" ? "/etc" : config}/nexus/nexus.env`
}
