/**
 * What a model is for, as far as its name alone tells: only names that can mean nothing else are taken for that of a model
 * that makes embeddings, since such a model is not asked to chat with tools or images.
 */

// Names longer than any model has are not looked at to their end.
const longest = 512

const wordsOf = (id: string): ReadonlyArray<string> =>
  id
    .slice(0, longest)
    .toLowerCase()
    .replace(/^.*\//, "")
    .split(/[^a-z0-9]+/)
    .map((word) => word.replace(/\d+$/, ""))

const has = (words: ReadonlyArray<string>, those: ReadonlySet<string>): boolean => words.some((word) => those.has(word))

const embeddingWords = new Set(["embed", "embedding", "embeddings", "embedder", "embeddinggemma"])

// Families that call themselves by a short name, with what follows it in all of theirs.
const families =
  /(^|\/)(?:(?:bge|gte)[-_](?:m3|micro|tiny|small|base|large|en|zh|code|vl|multilingual|modernbert|qwen)|e5[-_](?:small|base|large|mistral|v\b)|multilingual[-_]e5|uae[-_](?:large|code)|all[-_](?:minilm|mpnet|roberta|distilroberta)|paraphrase[-_](?:multilingual|minilm|mpnet|albert|distilroberta)|multi[-_]qa[-_]|sentence[-_]t5|gtr[-_]t5|labse\b)[^/]*$/

// A person who calls a model so talks to it.
const talking = new Set(["chat", "assistant", "agent", "coder", "bot", "chatbot", "tutor", "helper", "writer"])

const otherWords = new Set(
  "rerank reranker whisper tts dall dalle sora flux sdxl imagen veo transcribe transcription asr realtime moderation audio image speech diffusion".split(
    " "
  )
)

/** Whether a name can only be that of a model that makes embeddings, and is of no use for chats. */
export const isEmbeddingModel = (id: string): boolean => {
  const words = wordsOf(id)
  if (has(words, talking) || words.includes("reranker") || words.includes("rerank")) return false
  return has(words, embeddingWords) || families.test(id.slice(0, longest).toLowerCase())
}

/** Whether a name looks like that of a model to chat with: what to try first, never a ground to refuse. */
export const looksLikeChatModel = (id: string): boolean => {
  const words = wordsOf(id)
  return has(words, talking) || !(has(words, otherWords) || isEmbeddingModel(id))
}
