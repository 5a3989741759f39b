/**
 * Short programs of the client libraries, whole as they stand.
 */
import { keyOrPlaceholder, keyVariable, joinLines, quotedLiteral, type ClientSetup } from "./client-setup.ts"
import { importOs } from "./python.ts"

const inPython = (setup: ClientSetup): string => keyOrPlaceholder(setup, `os.environ["${keyVariable}"]`)

const inJavaScript = (setup: ClientSetup): string => keyOrPlaceholder(setup, `process.env.${keyVariable}`)

/** The openai package of Python. */
export const openaiPython = (setup: ClientSetup): string =>
  joinLines(
    "# pip install openai",
    importOs(setup),
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${quotedLiteral(setup.baseUrl)}, api_key=${inPython(setup)})`,
    "answer = client.chat.completions.create(",
    `    model=${quotedLiteral(setup.model.id)},`,
    `    messages=[{"role": "user", "content": "Hello"}],`,
    ")",
    "print(answer.choices[0].message.content)"
  )

/** The openai package of JavaScript. */
export const openaiJs = (setup: ClientSetup): string => `// npm install openai
import OpenAI from "openai"

const client = new OpenAI({ baseURL: ${quotedLiteral(setup.baseUrl)}, apiKey: ${inJavaScript(setup)} })
const answer = await client.chat.completions.create({
  model: ${quotedLiteral(setup.model.id)},
  messages: [{ role: "user", content: "Hello" }]
})
console.log(answer.choices[0].message.content)`

/** LangChain in Python. */
export const langchain = (setup: ClientSetup): string => {
  const given = [`    base_url=${quotedLiteral(setup.baseUrl)},`, `    api_key=${inPython(setup)},`, ")"]
  const embeddings =
    setup.embedder === undefined
      ? []
      : [
          "",
          "embeddings = OpenAIEmbeddings(",
          `    model=${quotedLiteral(setup.embedder)},`,
          "    check_embedding_ctx_length=False,  # send text, not the tokens of an OpenAI model",
          ...given,
          `print(len(embeddings.embed_query("Hello")))`
        ]
  return joinLines(
    "# pip install langchain-openai",
    importOs(setup),
    `from langchain_openai import ChatOpenAI${setup.embedder === undefined ? "" : ", OpenAIEmbeddings"}`,
    "",
    "llm = ChatOpenAI(",
    `    model=${quotedLiteral(setup.model.id)},`,
    ...given,
    `print(llm.invoke("Hello").content)`,
    ...embeddings
  )
}

/** LangChain in JavaScript. */
export const langchainJs = (setup: ClientSetup): string => {
  const made = (kind: string, model: string) => `new ${kind}({
  model: ${quotedLiteral(model)},
  apiKey: ${inJavaScript(setup)},
  configuration: { baseURL: ${quotedLiteral(setup.baseUrl)} }
})`
  const embeddings = (embedder: string) => `

const embeddings = ${made("OpenAIEmbeddings", embedder)}
console.log((await embeddings.embedQuery("Hello")).length)`
  return `// npm install @langchain/openai @langchain/core
import { ChatOpenAI${setup.embedder === undefined ? "" : ", OpenAIEmbeddings"} } from "@langchain/openai"

const llm = ${made("ChatOpenAI", setup.model.id)}
console.log((await llm.invoke("Hello")).content)${setup.embedder === undefined ? "" : embeddings(setup.embedder)}`
}

/** The AI SDK. */
export const aiSdk = (setup: ClientSetup): string => {
  const embedding = (embedder: string) => `

const { embedding } = await embed({ model: nexus.embeddingModel(${quotedLiteral(embedder)}), value: "Hello" })
console.log(embedding.length)`
  return `// npm install ai @ai-sdk/openai-compatible
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { ${setup.embedder === undefined ? "" : "embed, "}generateText } from "ai"

const nexus = createOpenAICompatible({
  name: "nexus",
  baseURL: ${quotedLiteral(setup.baseUrl)},
  apiKey: ${inJavaScript(setup)},
  includeUsage: true,
  supportsStructuredOutputs: true
})

const { text } = await generateText({ model: nexus(${quotedLiteral(setup.model.id)}), prompt: "Hello" })
console.log(text)${setup.embedder === undefined ? "" : embedding(setup.embedder)}`
}
