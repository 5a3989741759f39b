import { expect, test } from "bun:test"
import type { GenerateContentResponse } from "@google/genai"
import type { GeminiAnswer } from "../../src/dialect/gemini/gemini-answer.ts"

// What is JSON of the classes of the SDK: no getters, lists that nobody changes, words in place of enumerations.
type Json<T> = T extends string
  ? `${T}`
  : T extends ReadonlyArray<infer Each>
    ? ReadonlyArray<Json<Each>>
    : T extends object
      ? { readonly [Name in keyof T]: Json<T[Name]> }
      : T

type Read = "text" | "data" | "functionCalls" | "executableCode" | "codeExecutionResult" | "initialPromptTokenCount"

type SdkAnswer = Json<Omit<GenerateContentResponse, Read | "sdkHttpResponse">>

test("what is told of an answer is what the types of Google's SDK say (checked by the compiler)", () => {
  const answer: GeminiAnswer = {
    candidates: [{ content: { role: "model", parts: [{ text: "" }] }, index: 0, finishReason: "STOP" }],
    modelVersion: "m",
    responseId: "r",
    usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 }
  }
  const told: SdkAnswer = answer
  expect(told).toBe(answer)
})
