/**
 * The tools of a request of Responses as functions of the hub, by a table that is kept for the request: tools of free text
 * and tools in namespaces go back under their own form.
 */
import { createHash } from "node:crypto"
import * as Predicate from "effect/Predicate"
import type { Chat, ChatTool, ChatToolChoice } from "../chat.ts"
import { type JsonObject, listOf, type Notes, refuseAt, textOf } from "../request-notes.ts"
import { listIn } from "../read-json.ts"
import { wordIn } from "../word-table.ts"
import { type ClientToolKind, clientToolOf, clientTools, skillsOf } from "./client-tools.ts"

/** A tool as its client knows it. */
export interface ToolForm {
  readonly kind: ClientToolKind | "custom" | "function" | "tool_search"
  readonly name: string
  readonly namespace?: string
}

// What OpenAI takes at most for the name of a function.
const longestName = 64

const digest = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 8)

const shortened = (name: string, key: string): string =>
  name.length <= longestName ? name : `${name.slice(0, longestName - 9)}_${digest(key)}`

/** A search for more tools that the client runs; it has no name of its own. */
export const searchForm: ToolForm = { kind: "tool_search", name: "tool_search" }

/** A tool that its type says all of. */
export const knownForm = (kind: ClientToolKind): ToolForm => ({ kind, name: kind })

/** Whether a tool is such a search, or an item is of one: OpenAI runs all others itself. */
export const isClientSearch = ({ execution, type }: JsonObject): boolean =>
  execution === "client" && typeof type === "string" && type.startsWith("tool_search")

/** What each tool is called in the hub, there and back; two tools never share a name. */
export class ToolNames {
  private readonly names = new Map<string, string>()
  private readonly forms = new Map<string, ToolForm>()

  /** The name of a tool in the hub. */
  of(form: ToolForm): string {
    const { kind, name, namespace } = form
    const key = JSON.stringify([namespace ?? null, kind, name])
    const known = this.names.get(key)
    if (known !== undefined) return known
    const near = namespace === undefined ? name : shortened(`${namespace}__${name}`, key)
    let own = near
    for (let time = 1; this.forms.has(own); time += 1) {
      own = `${near.slice(0, longestName - 9)}_${digest(`${key}${time}`)}`
    }
    this.names.set(key, own)
    this.forms.set(own, form)
    return own
  }

  /** Keeps the name of a tool that has one of its own. */
  reserve(tool: JsonObject): void {
    const { name, type } = tool
    if ((type === "function" || type === "custom") && typeof name === "string") this.of({ kind: type, name })
    else if (isClientSearch(tool)) this.of(searchForm)
  }

  /** The tools that are more than a function of that name, by their names in the hub; undefined where there are none. */
  get told(): ReadonlyMap<string, ToolForm> | undefined {
    let told: Map<string, ToolForm> | undefined
    for (const [own, form] of this.forms) {
      if (form.kind !== "function" || form.name !== own || form.namespace !== undefined)
        (told ??= new Map()).set(own, form)
    }
    return told
  }
}

/** The one field of the function that stands for a tool of free text. */
const freeText = {
  type: "object",
  properties: { input: { type: "string" } },
  required: ["input"],
  additionalProperties: false
} as const

/** The arguments that say a free text. */
export const argsOfText = (input: string): string => JSON.stringify({ input })

/** The free text that arguments say: all of them where they are not as they were asked for. */
export const textOfArgs = (args: string): string => {
  try {
    const json: unknown = JSON.parse(args)
    if (typeof json === "string") return json
    return Predicate.isObject(json) && typeof json["input"] === "string" ? json["input"] : args
  } catch {
    return args
  }
}

const sentence = (value: unknown): string => (typeof value === "string" ? value : "")

const joined = (parts: ReadonlyArray<string>, by: string): string | undefined =>
  parts.filter((part) => part !== "").join(by) || undefined

const nameOf = (tool: JsonObject, place: string): string => {
  const name = textOf(tool["name"], `${place}.name`)
  return name === "" ? refuseAt(`${place}.name`, "is empty") : name
}

/** What tools are called in the hub that a search has found. */
export const foundNames = (tools: unknown, names: ToolNames): ReadonlyArray<string> => {
  const namesOf = (tool: unknown, namespace?: string): ReadonlyArray<string> => {
    if (!Predicate.isObject(tool)) return []
    const { name, tools: inner, type: kind } = tool
    if (typeof name !== "string") return []
    if (kind === "namespace" && Array.isArray(inner)) return inner.flatMap((each) => namesOf(each, name))
    if (kind !== "function" && kind !== "custom") return []
    return [names.of({ kind, name, ...(namespace === undefined ? {} : { namespace }) })]
  }
  return Array.isArray(tools) ? tools.flatMap((tool) => namesOf(tool)) : []
}

/** A tool, with how its client knows it. */
interface ReadTool {
  readonly tool: ChatTool
  readonly form: ToolForm
}

/** Reads the tools of one request. */
class ToolReading {
  readonly names: ToolNames
  private readonly byName = new Map<string, ReadTool>()
  private readonly notes: Notes

  constructor(names: ToolNames, notes: Notes) {
    this.names = names
    this.notes = notes
  }

  /** All of them: of a tool that is told of again the last word counts. */
  get tools(): ReadonlyArray<ReadTool> {
    return [...this.byName.values()]
  }

  /** Takes a tool; one that OpenAI runs, or that only its own models know, is left out. */
  take(tool: unknown, place: string, space?: { readonly name: string; readonly about: string }): void {
    if (!Predicate.isObject(tool)) return refuseAt(place, "must be an object")
    switch (tool["type"]) {
      case "function":
        return this.takeFunction(tool, place, space)
      case "custom":
        return this.takeCustom(tool, place, space)
      case "namespace": {
        const name = nameOf(tool, place)
        this.notes.only(tool, ["type", "name", "description", "tools"], "tools")
        for (const [at, each] of listOf(tool["tools"], `${place}.tools`).entries()) {
          this.take(each, `${place}.tools[${at}]`, { name, about: sentence(tool["description"]) })
        }
        return undefined
      }
      default:
        if (isClientSearch(tool)) return this.takeSearch(tool)
        if (space === undefined && clientToolOf(tool) !== undefined) return this.takeKnown(tool)
        textOf(tool["type"], `${place}.type`)
        return this.notes.drops(place)
    }
  }

  private takeSearch(tool: JsonObject): void {
    this.notes.only(tool, ["type", "execution", "description", "parameters"], "tools")
    const schema = tool["parameters"] ?? { type: "object", properties: {} }
    this.add(searchForm, { description: joined([sentence(tool["description"])], ""), schema, strict: undefined })
  }

  // What OpenAI's models know of it the others are told.
  private takeKnown(tool: JsonObject): void {
    const kind = clientToolOf(tool)
    if (kind === undefined) return
    this.notes.only(tool, ["type", "environment", "name", "description"], "tools")
    const { about, schema } = clientTools[kind]
    this.add(knownForm(kind), {
      description: joined([about, sentence(tool["description"]), skillsOf(tool["environment"])], "\n\n"),
      schema,
      strict: undefined
    })
  }

  private takeFunction(
    tool: JsonObject,
    place: string,
    space?: { readonly name: string; readonly about: string }
  ): void {
    this.notes.only(tool, ["type", "name", "description", "parameters", "strict"], "tools")
    const { parameters, strict } = tool
    this.keep("function", tool, place, space, {
      description: joined([space?.about ?? "", sentence(tool["description"])], ": "),
      schema: parameters ?? { type: "object", properties: {} },
      strict: typeof strict === "boolean" ? strict : undefined
    })
  }

  private takeCustom(tool: JsonObject, place: string, space?: { readonly name: string; readonly about: string }): void {
    this.notes.only(tool, ["type", "name", "description", "format"], "tools")
    const { format } = tool
    const isGrammar = Predicate.isObject(format) && format["type"] === "grammar"
    if (isGrammar) this.notes.drops(`${place}.format`)
    const grammar = isGrammar
      ? `The text must match this ${sentence(format["syntax"])} grammar:\n${sentence(format["definition"])}`
      : ""
    const about = joined([space?.about ?? "", sentence(tool["description"])], ": ") ?? ""
    this.keep("custom", tool, place, space, {
      description: joined([about, grammar], "\n\n"),
      schema: freeText,
      strict: undefined
    })
  }

  private keep(
    kind: ToolForm["kind"],
    tool: JsonObject,
    place: string,
    space: { readonly name: string } | undefined,
    rest: Omit<ChatTool, "name">
  ): void {
    const name = nameOf(tool, place)
    this.add({ kind, name, ...(space === undefined ? {} : { namespace: space.name }) }, rest)
  }

  private add(form: ToolForm, rest: Omit<ChatTool, "name">): void {
    const name = this.names.of(form)
    this.byName.set(name, { form, tool: { name, ...rest } })
  }
}

const isChosen = (form: ToolForm, choice: JsonObject): boolean =>
  form.kind === choice["type"] &&
  (form.name === choice["name"] || (form.kind !== "function" && form.kind !== "custom")) &&
  (choice["namespace"] === undefined || choice["namespace"] === form.namespace)

const named = (choice: JsonObject, tools: ReadonlyArray<ReadTool>): ReadTool | undefined =>
  tools.find(({ form }) => isChosen(form, choice) && form.namespace === choice["namespace"]) ??
  tools.find(({ form }) => isChosen(form, choice))

const modes: Readonly<Record<string, ChatToolChoice>> = { auto: "auto", none: "none", required: "required" }

const modeOf = (value: unknown, place: string): ChatToolChoice =>
  wordIn(modes, value) ?? refuseAt(place, "must be auto, none or required")

/** The tools of a request, and which of them are to be called. */
type Tools = Pick<Chat, "tools" | "toolChoice">

const allowed = (choice: JsonObject, tools: ReadonlyArray<ReadTool>, notes: Notes): Tools => {
  const place = "tool_choice.tools"
  const wanted = listOf(choice["tools"], place).map((each, at) =>
    Predicate.isObject(each) ? each : refuseAt(`${place}[${at}]`, "must be an object")
  )
  for (const [at, each] of wanted.entries()) {
    if (each["type"] !== "namespace" && named(each, tools) === undefined) notes.drops(`${place}[${at}]`)
  }
  const kept = tools.filter(({ form }) =>
    wanted.some((each) => isChosen(form, each) || (each["type"] === "namespace" && each["name"] === form.namespace))
  )
  if (kept.length === 0) return refuseAt(place, "names none of the tools that the backend of this model can call")
  return { tools: kept.map(({ tool }) => tool), toolChoice: modeOf(choice["mode"] ?? "auto", "tool_choice.mode") }
}

const chosen = (choice: unknown, tools: ReadonlyArray<ReadTool>, notes: Notes): Tools => {
  const all = tools.map(({ tool }) => tool)
  if (choice === undefined || choice === null) return { tools: all }
  if (!Predicate.isObject(choice)) return { tools: all, toolChoice: modeOf(choice, "tool_choice") }
  if (choice["type"] === "allowed_tools") return allowed(choice, tools, notes)
  const found = named(choice, tools)
  if (found !== undefined) return { tools: all, toolChoice: { name: found.tool.name } }
  return refuseAt("tool_choice", "names a tool that the backend of this model cannot call")
}

// Items that bring tools along: some clients have all of theirs there, and a search finds more of them.
const bringing: ReadonlySet<unknown> = new Set(["additional_tools", "tool_search_output"])

type ToldTool = readonly [tool: unknown, place: string]

const addTold = (told: Array<ToldTool>, list: ReadonlyArray<unknown>, place: string): void =>
  list.forEach((tool, at) => told.push([tool, `${place}[${at}]`]))

/** Every tool that a request tells of, with its place; `listed` is what becomes of what should be a list of them. */
export const toldTools = ({ input, tools }: JsonObject, listed: typeof listOf = listIn): ReadonlyArray<ToldTool> => {
  const told: Array<ToldTool> = []
  addTold(told, listed(tools, "tools"), "tools")
  let at = 0
  for (const item of listIn(input)) {
    if (Predicate.isObject(item) && bringing.has(item["type"])) {
      const place = `input[${at}].tools`
      addTold(told, listed(item["tools"], place), place)
    }
    at += 1
  }
  return told
}

/** Reads the tools of a request, and the choice among them. */
export const readTools = (json: JsonObject, names: ToolNames, notes: Notes): Tools => {
  const { tool_choice: choice } = json
  const all = toldTools(json, listOf)
  if (all.length === 0) return { tools: [] }
  const reading = new ToolReading(names, notes)
  // Names that a client has given stand, whatever others come to.
  for (const [tool] of all) if (Predicate.isObject(tool)) names.reserve(tool)
  for (const [tool, place] of all) reading.take(tool, place)
  const { tools } = reading
  if (tools.length > 0) return chosen(choice, tools, notes)
  if (choice === "none") return { tools: [] }
  return refuseAt("tools", "has only tools that OpenAI runs itself; the backend of this model has none of them")
}
