/**
 * A chat as the client languages say it: what is sent, and what the pieces of an answer tell.
 */

/** What was said in a chat; `image` is a data URL. */
export interface Said {
  readonly role: "user" | "assistant"
  readonly text: string
  readonly image?: string
}

/** What a piece of an answer adds. */
export interface Heard {
  readonly text?: string
  readonly thought?: string
  /** The name of a tool that is called, or more of what it is called with. */
  readonly tool?: string
  readonly error?: string
}

/** One client language. */
export interface ClientLanguage {
  readonly title: string
  readonly path: (model: string) => string
  readonly headers?: Readonly<Record<string, string>>
  readonly body: (model: string, chat: ReadonlyArray<Said>) => unknown
  readonly hear: (piece: unknown) => Heard
}

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const fieldsIn = (value: unknown): Fields => (isFields(value) ? value : {})

const listIn = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

const textIn = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined)

const heard = (parts: { [Part in keyof Heard]: string | undefined }): Heard =>
  Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined)) as Heard // reason: its parts are those

const errorIn = (value: unknown): string | undefined => {
  if (typeof value === "string") return value
  return isFields(value) ? (textIn(value["message"]) ?? JSON.stringify(value)) : undefined
}

/** The media type and the bytes, in base64, of a data URL. */
const imageParts = (image: string): { readonly type: string; readonly data: string } => {
  const [, type = "image/png", data = ""] = /^data:([^;,]+);base64,(.*)$/s.exec(image) ?? []
  return { type, data }
}

const longest = 4096

const chatCompletions: ClientLanguage = {
  title: "OpenAI chat",
  path: () => "/v1/chat/completions",
  body: (model, chat) => ({
    model,
    stream: true,
    messages: chat.map(({ image, role, text }) => ({
      role,
      content:
        image === undefined
          ? text
          : [
              { type: "text", text },
              { type: "image_url", image_url: { url: image } }
            ]
    }))
  }),
  hear: (piece) => {
    const { choices, error } = fieldsIn(piece)
    const {
      content,
      reasoning,
      reasoning_content: thought,
      tool_calls: tools
    } = fieldsIn(fieldsIn(listIn(choices)[0])["delta"])
    const tool = listIn(tools)
      .map((each) => fieldsIn(fieldsIn(each)["function"]))
      .map(({ arguments: given, name }) => `${textIn(name) ?? ""}${textIn(given) ?? ""}`)
      .join("")
    return heard({
      text: textIn(content),
      thought: textIn(thought) ?? textIn(reasoning),
      tool: textIn(tool),
      error: errorIn(error)
    })
  }
}

const responses: ClientLanguage = {
  title: "OpenAI Responses",
  path: () => "/v1/responses",
  body: (model, chat) => ({
    model,
    stream: true,
    store: false,
    input: chat.map(({ image, role, text }) => ({
      role,
      content: [
        { type: role === "user" ? "input_text" : "output_text", text },
        ...(image === undefined ? [] : [{ type: "input_image", image_url: image }])
      ]
    }))
  }),
  hear: (piece) => {
    const { delta, error, item, message, response, type } = fieldsIn(piece)
    if (type === "response.output_text.delta") return heard({ text: textIn(delta) })
    if (type === "response.reasoning_text.delta" || type === "response.reasoning_summary_text.delta")
      return heard({ thought: textIn(delta) })
    if (type === "response.function_call_arguments.delta") return heard({ tool: textIn(delta) })
    if (type === "response.output_item.added" && fieldsIn(item)["type"] === "function_call")
      return heard({ tool: textIn(fieldsIn(item)["name"]) })
    if (type === "response.failed") return heard({ error: errorIn(fieldsIn(response)["error"]) })
    return type === "error" ? heard({ error: errorIn(message) ?? errorIn(error) }) : {}
  }
}

const messages: ClientLanguage = {
  title: "Anthropic Messages",
  path: () => "/v1/messages",
  headers: { "anthropic-version": "2023-06-01" },
  body: (model, chat) => ({
    model,
    stream: true,
    max_tokens: longest,
    messages: chat.map(({ image, role, text }) => {
      if (image === undefined) return { role, content: text }
      const { data, type } = imageParts(image)
      return {
        role,
        content: [
          { type: "image", source: { type: "base64", media_type: type, data } },
          { type: "text", text }
        ]
      }
    })
  }),
  hear: (piece) => {
    const { content_block: block, delta, error, type } = fieldsIn(piece)
    if (type === "error") return heard({ error: errorIn(error) })
    if (type === "content_block_start" && fieldsIn(block)["type"] === "tool_use")
      return heard({ tool: textIn(fieldsIn(block)["name"]) })
    const { partial_json: tool, text, thinking } = fieldsIn(delta)
    return heard({ text: textIn(text), thought: textIn(thinking), tool: textIn(tool) })
  }
}

const ollama: ClientLanguage = {
  title: "Ollama",
  path: () => "/api/chat",
  body: (model, chat) => ({
    model,
    stream: true,
    messages: chat.map(({ image, role, text }) => ({
      role,
      content: text,
      ...(image === undefined ? {} : { images: [imageParts(image).data] })
    }))
  }),
  hear: (piece) => {
    const { error, message } = fieldsIn(piece)
    const { content, thinking, tool_calls: tools } = fieldsIn(message)
    const tool = listIn(tools)
      .map((each) => JSON.stringify(fieldsIn(each)["function"]))
      .join("")
    return heard({ text: textIn(content), thought: textIn(thinking), tool: textIn(tool), error: errorIn(error) })
  }
}

const gemini: ClientLanguage = {
  title: "Google Gemini",
  path: (model) => `/v1beta/models/${encodeURIComponent(model)}:streamGenerateContent?alt=sse`,
  body: (_, chat) => ({
    contents: chat.map(({ image, role, text }) => ({
      role: role === "user" ? "user" : "model",
      parts: [
        { text },
        ...(image === undefined
          ? []
          : [{ inlineData: { mimeType: imageParts(image).type, data: imageParts(image).data } }])
      ]
    }))
  }),
  hear: (piece) => {
    const { candidates, error } = fieldsIn(piece)
    const parts = listIn(fieldsIn(fieldsIn(listIn(candidates)[0])["content"])["parts"]).map(fieldsIn)
    const joined = (isThought: boolean) =>
      textIn(
        parts
          .filter(({ thought }) => (thought === true) === isThought)
          .map(({ text }) => textIn(text) ?? "")
          .join("")
      )
    const tool = parts.flatMap(({ functionCall: call }) => (call === undefined ? [] : [JSON.stringify(call)])).join("")
    return heard({ text: joined(false), thought: joined(true), tool: textIn(tool), error: errorIn(error) })
  }
}

/** The client languages that the page can speak. */
export const clientLanguages = { chat: chatCompletions, responses, messages, ollama, gemini } as const

/** The name of one of them. */
export type LanguageName = keyof typeof clientLanguages

/** Whether a text is the name of one of them. */
export const isLanguage = (name: string): name is LanguageName => Object.hasOwn(clientLanguages, name)

/** What a line of a streamed answer tells, be it an event or a value of its own; undefined for what tells nothing. */
export const heardIn = ({ hear }: ClientLanguage, line: string): Heard | undefined => {
  const text = line.startsWith("data:") ? line.slice("data:".length).trim() : line.startsWith("{") ? line : ""
  if (!text.startsWith("{")) return undefined
  try {
    return hear(JSON.parse(text))
  } catch {
    return undefined
  }
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** The same request as a command for a shell. */
export const curlOf = (
  { body, headers, path }: ClientLanguage,
  origin: string,
  model: string,
  chat: ReadonlyArray<Said>
): string =>
  [
    `curl -N ${quoted(origin + path(model))}`,
    ...Object.entries({ "content-type": "application/json", ...headers }).map(
      ([name, value]) => `-H ${quoted(`${name}: ${value}`)}`
    ),
    `-d ${quoted(JSON.stringify(body(model, chat)))}`
  ].join(" \\\n  ")
