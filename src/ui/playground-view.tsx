/**
 * A place to try a model: a chat in any client language, with one model or with two side by side.
 */
import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import type { ModelEntry } from "../api/gateway-api.ts"
import { Alert } from "./alert.tsx"
import { answerLines, refusalIn } from "./call-api.ts"
import { CopyButton } from "./copy-button.tsx"
import type { Fleet } from "./fleet-state.ts"
import { snippetOf } from "./sdk-snippets.ts"
import {
  curlOf,
  type Heard,
  heardIn,
  isLanguage,
  type Said,
  clientLanguages,
  type LanguageName
} from "./client-languages.ts"
import { useAnswer } from "./use-answer.ts"
import { count, span } from "./words.ts"

interface Answer {
  readonly text: string
  readonly thought: string
  readonly tool: string
  readonly error: string
  readonly backend: string
  readonly dialect: string
  readonly firstMs: number | undefined
  readonly wholeMs: number | undefined
  readonly pieces: number
}

const noAnswer: Answer = {
  text: "",
  thought: "",
  tool: "",
  error: "",
  backend: "",
  dialect: "",
  firstMs: undefined,
  wholeMs: undefined,
  pieces: 0
}

const withHeard = (answer: Answer, { error = "", text = "", thought = "", tool = "" }: Heard, ms: number): Answer => ({
  ...answer,
  text: answer.text + text,
  thought: answer.thought + thought,
  tool: answer.tool + tool,
  // Some languages tell it in two events.
  error: answer.error || error,
  firstMs: answer.firstMs ?? (text + thought + tool === "" ? undefined : ms),
  pieces: answer.pieces + 1
})

interface Turn {
  readonly question: Said
  readonly answer: Answer
}

const chatOf = (turns: ReadonlyArray<Turn>): ReadonlyArray<Said> =>
  turns.flatMap(({ answer, question }): ReadonlyArray<Said> => [
    question,
    ...(answer.text === "" ? [] : [{ role: "assistant" as const, text: answer.text }])
  ])

// What came at once has no rate, in milliseconds.
const leastMs = 10

const speedOf = ({ firstMs, pieces, wholeMs }: Answer): string => {
  if (firstMs === undefined || wholeMs === undefined) return ""
  const streamedMs = wholeMs - firstMs
  const rate = streamedMs < leastMs ? "" : `, ${count((pieces / streamedMs) * 1000)} pieces a second`
  return `first token after ${span(firstMs)}, whole after ${span(wholeMs)}${rate}`
}

const AnswerText = ({ answer }: { readonly answer: Answer }): JSX.Element => (
  <div class="said assistant">
    {answer.thought === "" ? null : (
      <details>
        <summary>thoughts</summary>
        <pre>{answer.thought}</pre>
      </details>
    )}
    {answer.text === "" ? null : <pre>{answer.text}</pre>}
    {answer.tool === "" ? null : <pre class="tool">calls {answer.tool}</pre>}
    <Alert why={answer.error} />
    <p class="dim">
      {answer.backend === ""
        ? ""
        : `${answer.backend}${answer.dialect === "" ? "" : `, translated ${answer.dialect}`} · `}
      {speedOf(answer)}
    </p>
  </div>
)

interface SameProps {
  readonly speaks: LanguageName
  readonly model: string
  readonly chat: ReadonlyArray<Said>
}

/** What was sent, for a shell and as programs. */
const TheSame = ({ chat, model, speaks }: SameProps): JSX.Element => {
  const { origin } = window.location
  const python = snippetOf("python", speaks, origin, model, chat)
  const script = snippetOf("script", speaks, origin, model, chat)
  const ways = [
    { name: "curl", text: curlOf(clientLanguages[speaks], origin, model, chat) },
    { name: "Python", text: `# ${python.installs}\n${python.text}` },
    { name: "JavaScript", text: `// ${script.installs}\n${script.text}` }
  ]
  return (
    <>
      {ways.map(({ name, text }) => (
        <details key={name} class="same">
          <summary>The same by {name}</summary>
          <CopyButton text={text} label={`Copy what does the same by ${name}`} />
          <pre>{text}</pre>
        </details>
      ))}
    </>
  )
}

interface LaneProps {
  readonly model: string
  readonly speaks: LanguageName
  /** What is asked, with a number of its own each time. */
  readonly asked: { readonly number: number; readonly said: Said } | undefined
}

/** One chat with one model. */
const Lane = ({ asked, model, speaks }: LaneProps): JSX.Element => {
  const [turns, setTurns] = useState<ReadonlyArray<Turn>>([])
  const ending = useRef<AbortController | undefined>(undefined)
  const [isBusy, setBusy] = useState(false)
  const language = clientLanguages[speaks]
  // What was asked before it was there was asked of others.
  const known = useRef(asked?.number)

  useEffect(() => () => ending.current?.abort(), [])
  useEffect(() => {
    if (asked === undefined || asked.number === known.current) return
    known.current = asked.number
    ending.current?.abort()
    const control = new AbortController()
    ending.current = control
    const before = turns
    const question = asked.said
    const began = performance.now()
    let answer = noAnswer
    let isDue = false
    let isBegun = false
    const show = (): void => setTurns([...before, { question, answer }])
    // At most once a frame, however fast the pieces come.
    const showSoon = (): void => {
      if (isDue) return
      isDue = true
      requestAnimationFrame(() => {
        isDue = false
        if (ending.current === control) show()
      })
    }
    const ask = async (): Promise<void> => {
      const response = await fetch(`..${language.path(model)}`, {
        method: "POST",
        headers: { "content-type": "application/json", ...language.headers },
        body: JSON.stringify(language.body(model, [...chatOf(before), question])),
        signal: control.signal
      })
      const { headers } = response
      isBegun = true
      answer = {
        ...answer,
        backend: headers.get("x-nexus-backend") ?? "",
        dialect: headers.get("x-nexus-dialect") ?? ""
      }
      if (!response.ok) {
        answer = { ...answer, error: await refusalIn(response) }
        return
      }
      for await (const line of answerLines(response)) {
        const piece = heardIn(language, line)
        if (piece === undefined) continue
        answer = withHeard(answer, piece, performance.now() - began)
        showSoon()
      }
    }
    setBusy(true)
    show()
    void ask()
      .catch(() => {
        // What the gateway has said of it tells more than that the line was cut behind it.
        if (answer.error !== "") return
        const broken = isBegun ? "The answer has broken off" : "The gateway does not answer"
        answer = { ...answer, error: control.signal.aborted ? "stopped" : broken }
      })
      .then(() => {
        answer = { ...answer, wholeMs: performance.now() - began }
        if (ending.current !== control) return
        show()
        setBusy(false)
      })
  }, [asked?.number])

  const last = turns.at(-1)
  return (
    <section class="lane" aria-label={`Chat with ${model}`}>
      <div class="bar">
        <h2>{model}</h2>
        {isBusy ? (
          <button type="button" onClick={() => ending.current?.abort()}>
            stop
          </button>
        ) : (
          <button type="button" disabled={turns.length === 0} onClick={() => setTurns([])}>
            new chat
          </button>
        )}
      </div>
      <div class="chat" aria-live="polite">
        {turns.map(({ answer, question }, at) => (
          <div key={at}>
            <div class="said user">
              {question.image === undefined ? null : <img src={question.image} alt="what was sent" />}
              <pre>{question.text}</pre>
            </div>
            <AnswerText answer={answer} />
          </div>
        ))}
      </div>
      {last === undefined ? null : (
        <TheSame speaks={speaks} model={model} chat={[...chatOf(turns.slice(0, -1)), last.question]} />
      )}
    </section>
  )
}

const readImage = (file: File): Promise<string> =>
  new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.addEventListener("load", () => resolve(String(reader.result)))
    reader.addEventListener("error", () => reject(reader.error ?? new Error("the file cannot be read")))
    reader.readAsDataURL(file)
  })

/** The view. */
export const PlaygroundView = ({ fleet }: { readonly fleet: Fleet }): JSX.Element => {
  const models = [
    ...new Set([...fleet.backends.values()].flatMap(({ models }) => models.map(({ id }) => id)))
  ].toSorted()
  // Aliases and groups are no models of backends, and come first here.
  const listed = useAnswer<{ readonly data: ReadonlyArray<Pick<ModelEntry, "id">> }>(
    () => "/v1/models",
    [fleet.config.generation, models.length]
  )
  const names = listed?._tag === "Done" ? listed.value.data.map(({ id }) => id) : []
  const offered = [...new Set([...names.filter((name) => !models.includes(name)).toSorted(), ...models])]
  const [first, setFirst] = useState(models[0] ?? "")
  const [second, setSecond] = useState("")
  const [speaks, setSpeaks] = useState<LanguageName>("chat")
  const [text, setText] = useState("")
  const [image, setImage] = useState<string | undefined>(undefined)
  const [asked, setAsked] = useState<LaneProps["asked"]>(undefined)
  const send = (): void => {
    if (text.trim() === "" || first === "") return
    const said: Said = { role: "user", text, ...(image === undefined ? {} : { image }) }
    setAsked({ number: (asked?.number ?? 0) + 1, said })
    setText("")
    setImage(undefined)
  }
  const lanes = [first, second].filter((model) => model !== "")
  return (
    <div class="playground">
      <div class="bar">
        <label>
          Model
          <input list="models" value={first} onInput={({ currentTarget }) => setFirst(currentTarget.value)} />
        </label>
        <label>
          beside
          <input
            list="models"
            value={second}
            placeholder="none"
            onInput={({ currentTarget }) => setSecond(currentTarget.value)}
          />
        </label>
        <datalist id="models">
          {offered.map((model) => (
            <option key={model} value={model} />
          ))}
        </datalist>
        <label>
          asked as
          <select
            value={speaks}
            onChange={({ currentTarget: { value } }) => {
              if (isLanguage(value)) setSpeaks(value)
            }}
          >
            {Object.entries(clientLanguages).map(([name, { title }]) => (
              <option key={name} value={name}>
                {title}
              </option>
            ))}
          </select>
        </label>
      </div>
      <div class="lanes">
        {lanes.map((model, at) => (
          <Lane key={`${at} ${speaks} ${model}`} model={model} speaks={speaks} asked={asked} />
        ))}
      </div>
      <form
        class="ask"
        onSubmit={(event) => {
          event.preventDefault()
          send()
        }}
      >
        <textarea
          aria-label="Message"
          placeholder="Enter sends, Shift and Enter begin a new line"
          rows={3}
          value={text}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return
            event.preventDefault()
            send()
          }}
        />
        <label class="file">
          {image === undefined ? "image …" : "image taken"}
          <input
            type="file"
            accept="image/*"
            onChange={({ currentTarget }) => {
              const [file] = currentTarget.files ?? []
              if (file !== undefined) void readImage(file).then(setImage, () => setImage(undefined))
              // The same one may be wanted again, which is no change otherwise.
              currentTarget.value = ""
            }}
          />
        </label>
        {image === undefined ? null : (
          <button type="button" onClick={() => setImage(undefined)}>
            without the image
          </button>
        )}
        <button type="submit" disabled={text.trim() === "" || first === ""}>
          send
        </button>
      </form>
    </div>
  )
}
