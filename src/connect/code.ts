/**
 * Short programs of the client libraries, whole as they stand.
 */
import { keyOrPlaceholder, keyVariable, joinLines, quotedLiteral, type ClientSetup } from "./client-setup.ts"

const inPython = (offer: ClientSetup): string => keyOrPlaceholder(offer, `os.environ["${keyVariable}"]`)

const inJavaScript = (offer: ClientSetup): string => keyOrPlaceholder(offer, `process.env.${keyVariable}`)

const importOs = ({ keyNeeded }: ClientSetup): string | undefined => (keyNeeded ? "import os\n" : undefined)

/** The openai package of Python. */
export const openaiPython = (offer: ClientSetup): string =>
  joinLines(
    "# pip install openai",
    importOs(offer),
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${quotedLiteral(offer.baseUrl)}, api_key=${inPython(offer)})`,
    "answer = client.chat.completions.create(",
    `    model=${quotedLiteral(offer.model.id)},`,
    `    messages=[{"role": "user", "content": "Hello"}],`,
    ")",
    "print(answer.choices[0].message.content)"
  )

/** The openai package of JavaScript. */
export const openaiJs = (offer: ClientSetup): string => `// npm install openai
import OpenAI from "openai"

const client = new OpenAI({ baseURL: ${quotedLiteral(offer.baseUrl)}, apiKey: ${inJavaScript(offer)} })
const answer = await client.chat.completions.create({
  model: ${quotedLiteral(offer.model.id)},
  messages: [{ role: "user", content: "Hello" }]
})
console.log(answer.choices[0].message.content)`

/** LangChain in Python. */
export const langchain = (offer: ClientSetup): string => {
  const given = [`    base_url=${quotedLiteral(offer.baseUrl)},`, `    api_key=${inPython(offer)},`, ")"]
  const embeddings =
    offer.embedder === undefined
      ? []
      : [
          "",
          "embeddings = OpenAIEmbeddings(",
          `    model=${quotedLiteral(offer.embedder)},`,
          "    check_embedding_ctx_length=False,  # send text, not the tokens of an OpenAI model",
          ...given,
          `print(len(embeddings.embed_query("Hello")))`
        ]
  return joinLines(
    "# pip install langchain-openai",
    importOs(offer),
    `from langchain_openai import ChatOpenAI${offer.embedder === undefined ? "" : ", OpenAIEmbeddings"}`,
    "",
    "llm = ChatOpenAI(",
    `    model=${quotedLiteral(offer.model.id)},`,
    ...given,
    `print(llm.invoke("Hello").content)`,
    ...embeddings
  )
}

/** LangChain in JavaScript. */
export const langchainJs = (offer: ClientSetup): string => {
  const made = (kind: string, model: string) => `new ${kind}({
  model: ${quotedLiteral(model)},
  apiKey: ${inJavaScript(offer)},
  configuration: { baseURL: ${quotedLiteral(offer.baseUrl)} }
})`
  const embeddings = (embedder: string) => `

const embeddings = ${made("OpenAIEmbeddings", embedder)}
console.log((await embeddings.embedQuery("Hello")).length)`
  return `// npm install @langchain/openai @langchain/core
import { ChatOpenAI${offer.embedder === undefined ? "" : ", OpenAIEmbeddings"} } from "@langchain/openai"

const llm = ${made("ChatOpenAI", offer.model.id)}
console.log((await llm.invoke("Hello")).content)${offer.embedder === undefined ? "" : embeddings(offer.embedder)}`
}

/** The AI SDK. */
export const aiSdk = (offer: ClientSetup): string => {
  const embedding = (embedder: string) => `

const { embedding } = await embed({ model: nexus.embeddingModel(${quotedLiteral(embedder)}), value: "Hello" })
console.log(embedding.length)`
  return `// npm install ai @ai-sdk/openai-compatible
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { ${offer.embedder === undefined ? "" : "embed, "}generateText } from "ai"

const nexus = createOpenAICompatible({
  name: "nexus",
  baseURL: ${quotedLiteral(offer.baseUrl)},
  apiKey: ${inJavaScript(offer)},
  includeUsage: true,
  supportsStructuredOutputs: true
})

const { text } = await generateText({ model: nexus(${quotedLiteral(offer.model.id)}), prompt: "Hello" })
console.log(text)${offer.embedder === undefined ? "" : embedding(offer.embedder)}`
}
