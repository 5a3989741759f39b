/**
 * Short programs of the client libraries, whole as they stand.
 */
import { keyOr, keyVariable, lines, literal, type Offer } from "./offer.ts"

const inPython = (offer: Offer): string => keyOr(offer, `os.environ["${keyVariable}"]`)

const inJavaScript = (offer: Offer): string => keyOr(offer, `process.env.${keyVariable}`)

const importOs = ({ keyNeeded }: Offer): string | undefined => (keyNeeded ? "import os\n" : undefined)

/** The openai package of Python. */
export const openaiPython = (offer: Offer): string =>
  lines(
    "# pip install openai",
    importOs(offer),
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${literal(offer.baseUrl)}, api_key=${inPython(offer)})`,
    "answer = client.chat.completions.create(",
    `    model=${literal(offer.model.id)},`,
    `    messages=[{"role": "user", "content": "Hello"}],`,
    ")",
    "print(answer.choices[0].message.content)"
  )

/** The openai package of JavaScript. */
export const openaiJs = (offer: Offer): string => `// npm install openai
import OpenAI from "openai"

const client = new OpenAI({ baseURL: ${literal(offer.baseUrl)}, apiKey: ${inJavaScript(offer)} })
const answer = await client.chat.completions.create({
  model: ${literal(offer.model.id)},
  messages: [{ role: "user", content: "Hello" }]
})
console.log(answer.choices[0].message.content)`

/** LangChain in Python. */
export const langchain = (offer: Offer): string => {
  const given = [`    base_url=${literal(offer.baseUrl)},`, `    api_key=${inPython(offer)},`, ")"]
  const embeddings =
    offer.embedder === undefined
      ? []
      : [
          "",
          "embeddings = OpenAIEmbeddings(",
          `    model=${literal(offer.embedder)},`,
          "    check_embedding_ctx_length=False,  # send text, not the tokens of an OpenAI model",
          ...given,
          `print(len(embeddings.embed_query("Hello")))`
        ]
  return lines(
    "# pip install langchain-openai",
    importOs(offer),
    `from langchain_openai import ChatOpenAI${offer.embedder === undefined ? "" : ", OpenAIEmbeddings"}`,
    "",
    "llm = ChatOpenAI(",
    `    model=${literal(offer.model.id)},`,
    ...given,
    `print(llm.invoke("Hello").content)`,
    ...embeddings
  )
}

/** LangChain in JavaScript. */
export const langchainJs = (offer: Offer): string => {
  const made = (kind: string, model: string) => `new ${kind}({
  model: ${literal(model)},
  apiKey: ${inJavaScript(offer)},
  configuration: { baseURL: ${literal(offer.baseUrl)} }
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
export const aiSdk = (offer: Offer): string => {
  const embedding = (embedder: string) => `

const { embedding } = await embed({ model: nexus.embeddingModel(${literal(embedder)}), value: "Hello" })
console.log(embedding.length)`
  return `// npm install ai @ai-sdk/openai-compatible
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { ${offer.embedder === undefined ? "" : "embed, "}generateText } from "ai"

const nexus = createOpenAICompatible({
  name: "nexus",
  baseURL: ${literal(offer.baseUrl)},
  apiKey: ${inJavaScript(offer)},
  includeUsage: true,
  supportsStructuredOutputs: true
})

const { text } = await generateText({ model: nexus(${literal(offer.model.id)}), prompt: "Hello" })
console.log(text)${offer.embedder === undefined ? "" : embedding(offer.embedder)}`
}
