/**
 * A model of random weights as a GGUF file, for a real llama-server: its answers mean nothing, and its tokens are those of `prose`.
 */

import { byteTokens, ggufFile, type Tensor, type Token } from "../../test/kit/gguf.ts"

const shape = { hidden: 64, layers: 2, heads: 2, inner: 128, context: 131_072 } as const

const letters = "abcdefghijklmnopqrstuvwxyz"

const blank = "▁"

// Each word is put together from its beginnings, which therefore are tokens as well.
const vocabulary = (): ReadonlyArray<Token> => {
  const special: ReadonlyArray<Token> = [
    { text: "<unk>", score: 0, type: 2 },
    { text: "<s>", score: 0, type: 3 },
    { text: "</s>", score: 0, type: 3 }
  ]
  let beginnings = [blank]
  const words: Array<Token> = [...letters].map((text) => ({ text, score: -1e6, type: 1 }))
  for (let length = 0; length <= 3; length += 1) {
    words.push(...beginnings.map((text) => ({ text, score: length - 10, type: 1 })))
    beginnings = beginnings.flatMap((beginning) => [...letters].map((letter) => beginning + letter))
  }
  return [...special, ...byteTokens, ...words]
}

// The text of an answer follows its role as it was written, so that it is found again in the next turn.
const template =
  "{{ bos_token }}{% for message in messages %} {{ message['role'] }}{% if message['role'] != 'assistant' %} {% endif %}{{ message['content'] }}{% endfor %}{% if add_generation_prompt %} assistant{% endif %}"

// Numbers around 0 that are the same in each run.
const randomly = (seed: number, count: number, scale: number): Float32Array => {
  let state = seed >>> 0
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state / 2 ** 31 - 1) * scale
  })
}

const tensors = (tokens: ReadonlyArray<Token>): ReadonlyArray<Tensor> => {
  const { hidden, inner, layers } = shape
  let seed = 1
  const matrix = (name: string, rows: number, columns: number): Tensor => ({
    name,
    size: [columns, rows],
    values: randomly((seed += 1), rows * columns, 2 / Math.sqrt(columns))
  })
  const norm = (name: string): Tensor => ({ name, size: [hidden], values: new Float32Array(hidden).fill(1) })
  const output = matrix("output.weight", tokens.length, hidden)
  // What is no whole word has the same likelihood always, and is not the likeliest.
  tokens.forEach(({ text }, at) => {
    if (text.length !== 4 || !text.startsWith(blank)) output.values.fill(0, at * hidden, (at + 1) * hidden)
  })
  return [
    matrix("token_embd.weight", tokens.length, hidden),
    norm("output_norm.weight"),
    output,
    ...Array.from({ length: layers }, (_, at) => {
      const name = (part: string): string => `blk.${String(at)}.${part}.weight`
      return [
        norm(name("attn_norm")),
        matrix(name("attn_q"), hidden, hidden),
        matrix(name("attn_k"), hidden, hidden),
        matrix(name("attn_v"), hidden, hidden),
        matrix(name("attn_output"), hidden, hidden),
        norm(name("ffn_norm")),
        matrix(name("ffn_gate"), inner, hidden),
        matrix(name("ffn_up"), inner, hidden),
        matrix(name("ffn_down"), hidden, inner)
      ]
    }).flat()
  ]
}

/** The file. */
export const tinyModel = (): Uint8Array => {
  const tokens = vocabulary()
  return ggufFile({
    tokens,
    tensors: tensors(tokens),
    texts: {
      "general.architecture": "llama",
      "general.name": "tiny random",
      "tokenizer.ggml.model": "llama",
      "tokenizer.chat_template": template
    },
    counts: {
      "llama.context_length": shape.context,
      "llama.embedding_length": shape.hidden,
      "llama.block_count": shape.layers,
      "llama.feed_forward_length": shape.inner,
      "llama.attention.head_count": shape.heads,
      "llama.attention.head_count_kv": shape.heads,
      "llama.rope.dimension_count": shape.hidden / shape.heads,
      "llama.vocab_size": tokens.length,
      "tokenizer.ggml.unknown_token_id": 0,
      "tokenizer.ggml.bos_token_id": 1,
      "tokenizer.ggml.eos_token_id": 2
    },
    fractions: { "llama.attention.layer_norm_rms_epsilon": 1e-5 },
    flags: {}
  })
}
