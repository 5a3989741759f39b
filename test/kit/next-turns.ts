/**
 * Clients that answer a call `call_1` of a tool `f` with what they were told of it: their codec, their first request, and the
 * next one, which has the answer as they keep it.
 */
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { responses } from "../../src/dialect/responses/responses.ts"

const asked = { model: "m", max_tokens: 9, messages: [{ role: "user", content: "go" }] }

/** One for each dialect that keeps what a model has signed. */
export const nextTurns = [
  [
    "Messages",
    anthropic.operations[0].client!,
    asked,
    (answer: { readonly content: ReadonlyArray<object> }) => ({
      ...asked,
      messages: [
        ...asked.messages,
        { role: "assistant", content: answer.content },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "call_1", content: "x" }] }
      ]
    })
  ],
  [
    "Responses",
    responses.operations[0].client!,
    { model: "m", input: "go", include: ["reasoning.encrypted_content"] },
    (answer: { readonly output: ReadonlyArray<object> }) => ({
      model: "m",
      input: [
        { role: "user", content: "go" },
        ...answer.output,
        { type: "function_call_output", call_id: "call_1", output: "x" }
      ]
    })
  ],
  [
    "Google's API",
    gemini.operations[0].client!,
    { contents: [{ parts: [{ text: "go" }] }] },
    (answer: { readonly candidates: ReadonlyArray<{ readonly content: object }> }) => ({
      contents: [
        { role: "user", parts: [{ text: "go" }] },
        answer.candidates[0]!.content,
        { role: "user", parts: [{ functionResponse: { id: "call_1", name: "f", response: { output: "x" } } }] }
      ]
    })
  ]
] as const
