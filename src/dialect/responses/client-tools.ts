/**
 * Tools of Responses that OpenAI's models know by heart and that the client runs: as functions of the hub, and back as the
 * items that they are.
 */
import { fieldsIn, parsedJson } from "../read-json.ts"
import type { JsonObject } from "../request-notes.ts"

/** How it stands with an item. */
export type ItemStatus = "completed" | "in_progress" | "incomplete"

/** What such tools are called, by their type. */
export type ClientToolKind = "apply_patch" | "local_shell" | "shell"

/** One of them. */
interface ClientTool {
  readonly about: string
  readonly schema: object
  /** The arguments that such an item says. */
  readonly args: (item: JsonObject) => unknown
}

const text = { type: "string" } as const
const texts = { type: "array", items: text } as const
const milliseconds = { type: "integer", description: "The longest that it may take, in milliseconds" } as const

const objectOf = (properties: object, ...required: ReadonlyArray<string>): object => ({
  type: "object",
  properties,
  required
})

const listOfTexts = (value: unknown): Array<string> =>
  Array.isArray(value) ? value.map((each: unknown) => (typeof each === "string" ? each : JSON.stringify(each))) : []

// A model that knows shells writes a line of one where a program and its arguments are asked for.
const programIn = (command: unknown): Array<string> =>
  typeof command === "string" ? ["sh", "-c", command] : listOfTexts(command)

const localShell: ClientTool = {
  about: "Runs a program on the user's machine, and tells what it put out.",
  schema: objectOf(
    {
      command: { ...texts, description: "The program, and each of its arguments" },
      working_directory: text,
      timeout_ms: milliseconds,
      env: { type: "object", additionalProperties: text }
    },
    "command"
  ),
  args: ({ action }) => {
    const { type: _, ...args } = fieldsIn(action)
    return args
  }
}

const shell: ClientTool = {
  about: "Runs commands in a shell on the user's machine, one after the other, and tells what each put out.",
  schema: objectOf(
    {
      commands: texts,
      timeout_ms: milliseconds,
      max_output_length: { type: "integer", description: "The most characters to tell of what a command puts out" }
    },
    "commands"
  ),
  args: ({ action }) => fieldsIn(action)
}

const applyPatch: ClientTool = {
  about:
    "Creates, changes or deletes one file. The diff of a change has sections that begin with a line '@@'; in them a line of " +
    "the file that stays begins with a blank, one that goes with '-', one that comes with '+'. A file that is created has '+' " +
    "before each of its lines.",
  schema: objectOf(
    {
      type: { ...text, enum: ["create_file", "update_file", "delete_file"] },
      path: { ...text, description: "Where the file is, from the root of the workspace" },
      diff: { ...text, description: "What is to become of it; nothing where it is deleted" }
    },
    "type",
    "path"
  ),
  args: ({ operation }) => fieldsIn(operation)
}

/** All of them. */
export const clientTools: Readonly<Record<ClientToolKind, ClientTool>> = {
  apply_patch: applyPatch,
  local_shell: localShell,
  shell
}

const isKind = (type: string): type is ClientToolKind => Object.hasOwn(clientTools, type)

/** Which of them a tool is; undefined where it is another one, or OpenAI runs it. */
export const clientToolOf = ({ environment, type }: JsonObject): ClientToolKind | undefined => {
  if (typeof type !== "string" || !isKind(type)) return undefined
  const place = fieldsIn(environment)["type"] ?? "local"
  return place === "local" ? type : undefined
}

/** What a model is told of the skills that lie where a shell runs. */
export const skillsOf = (environment: unknown): string => {
  const { skills } = fieldsIn(environment)
  const told = (Array.isArray(skills) ? skills : []).flatMap((each: unknown) => {
    const { description, name, path } = fieldsIn(each)
    return typeof path === "string" ? [`- ${String(name)} (${path}): ${String(description)}`] : []
  })
  return told.length === 0 ? "" : `Skills, each with a SKILL.md in its directory that says how:\n${told.join("\n")}`
}

/** Which of them an item of this type calls, or tells what came of. */
export const clientToolIn = (type: unknown, ending: "_call_output" | "_call"): ClientToolKind | undefined => {
  if (typeof type !== "string" || !type.endsWith(ending)) return undefined
  const kind = type.slice(0, -ending.length)
  return isKind(kind) ? kind : undefined
}

const numberOr = <Absent>(value: unknown, absent: Absent): number | Absent =>
  typeof value === "number" ? value : absent

const textAt = (name: string, value: unknown) => (typeof value === "string" ? { [name]: value } : {})

const saidToShells = {
  local_shell: ({ command, env, timeout_ms: timeout, user, working_directory: directory }: JsonObject) => ({
    type: "local_shell_call" as const,
    action: {
      type: "exec" as const,
      command: programIn(command),
      env: Object.fromEntries(Object.entries(fieldsIn(env)).map(([name, value]) => [name, String(value)])),
      ...(typeof timeout === "number" ? { timeout_ms: timeout } : {}),
      ...textAt("user", user),
      ...textAt("working_directory", directory)
    }
  }),
  shell: ({ commands, max_output_length: length, timeout_ms: timeout }: JsonObject) => ({
    type: "shell_call" as const,
    action: {
      commands: typeof commands === "string" ? [commands] : listOfTexts(commands),
      timeout_ms: numberOr(timeout, null),
      max_output_length: numberOr(length, null)
    },
    environment: { type: "local" as const }
  })
}

const saidToPatch = ({ diff, path, type }: JsonObject) => {
  const at = { path: typeof path === "string" ? path : "" }
  const change = { ...at, diff: typeof diff === "string" ? diff : "" }
  const operation =
    type === "delete_file"
      ? { type: "delete_file" as const, ...at }
      : { type: type === "create_file" ? ("create_file" as const) : ("update_file" as const), ...change }
  return { type: "apply_patch_call" as const, operation }
}

/** What an item of a call says beside what all of them say, by the arguments that have come. */
export const saidByArgs = (kind: ClientToolKind, args: string, status: ItemStatus) => {
  const read = fieldsIn(parsedJson(args))
  if (kind !== "apply_patch") return { ...saidToShells[kind](read), status }
  // There is no word for one that was cut off.
  return { ...saidToPatch(read), status: status === "incomplete" ? ("in_progress" as const) : status }
}
