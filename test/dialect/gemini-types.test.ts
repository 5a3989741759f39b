import { expect, test } from "bun:test"
import type {
  Content,
  FunctionCallingConfig,
  FunctionDeclaration,
  GenerateContentResponse,
  GenerationConfig
} from "@google/genai"
import type { GeminiAnswer } from "../../src/dialect/gemini/gemini-answer.ts"
import type { GeminiRequest } from "../../src/dialect/gemini/server-request.ts"

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
  const told: SdkAnswer = {
    ...answer,
    // On the wire what is cited has another name than the SDK gives it.
    candidates: answer.candidates.map(({ citationMetadata: cited, ...each }) => ({
      ...each,
      ...(cited === undefined ? {} : { citationMetadata: { citations: cited.citationSources } })
    }))
  }
  expect(told.modelVersion).toBe(answer.modelVersion)
})

// As Google's API takes it: the SDK's own type of a request is another one, with all of it in one place.
interface SdkRequest {
  readonly contents: Json<Array<Content>>
  readonly systemInstruction?: Json<Content>
  readonly tools?: ReadonlyArray<{ readonly functionDeclarations: Json<Array<FunctionDeclaration>> }>
  readonly toolConfig?: { readonly functionCallingConfig: Json<FunctionCallingConfig> }
  readonly generationConfig?: Omit<Json<GenerationConfig>, "thinkingConfig"> & { readonly thinkingConfig?: object }
}

test("what a Gemini server is asked is what the types of Google's SDK say (checked by the compiler)", () => {
  const request: GeminiRequest = {
    contents: [{ role: "user", parts: [{ text: "x" }] }],
    generationConfig: { maxOutputTokens: 1, thinkingConfig: { thinkingLevel: "LOW" } }
  }
  const asked: SdkRequest = request
  expect(asked).toBe(request)
})
