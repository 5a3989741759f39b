/**
 * What is told of a response, as the openai package types it: what it would not take does not compile.
 */
import { expect, test } from "bun:test"
import type OpenAI from "openai"
import { CallItem, MessageItem, ReasoningItem } from "../../src/dialect/responses/responses-items.ts"
import { knownForm, searchForm } from "../../src/dialect/responses/responses-tools.ts"
import { echoOf, EventWriter, responseHead, responseUsage } from "../../src/dialect/responses/responses-events.ts"

const place = { id: "x_1", output_index: 0 }

test("items of a response are those of the openai package, open and closed", () => {
  for (const status of ["in_progress", "completed", "incomplete"] as const) {
    const { content, ...said } = new MessageItem(new EventWriter(), place, 0).json(status)
    const message: OpenAI.Responses.ResponseOutputMessage = {
      ...said,
      // How likely tokens are a server says, in words of its own.
      content: content.map((part) => {
        if (part.type === "refusal") return part
        const { annotations, text, type } = part
        return { type, text, annotations }
      })
    }
    const reasoning: OpenAI.Responses.ResponseReasoningItem = new ReasoningItem(new EventWriter(), place, true).json(
      status
    )
    const calls: ReadonlyArray<
      | OpenAI.Responses.ResponseFunctionToolCall
      | OpenAI.Responses.ResponseCustomToolCall
      | OpenAI.Responses.ResponseToolSearchCall
      | OpenAI.Responses.ResponseOutputItem.LocalShellCall
      | OpenAI.Responses.ResponseFunctionShellToolCall
      | OpenAI.Responses.ResponseApplyPatchToolCall
    > = [
      { kind: "function", name: "f", namespace: "n" } as const,
      searchForm,
      ...(["local_shell", "shell", "apply_patch"] as const).map(knownForm)
    ].map((form) => new CallItem(new EventWriter(), place, "call_1", form).json(status))
    const items: ReadonlyArray<OpenAI.Responses.ResponseOutputItem> = [
      message,
      reasoning,
      ...calls.map((call) => Object.assign(call, { id: place.id }))
    ]
    expect(items.map(({ type }) => type)).toEqual([
      "message",
      "reasoning",
      "function_call",
      "tool_search_call",
      "local_shell_call",
      "shell_call",
      "apply_patch_call"
    ])
  }
})

test("a response has the fields that the openai package reads, of the types that it reads", () => {
  const usage: OpenAI.Responses.ResponseUsage = responseUsage({
    prompt: 5,
    cachedRead: 1,
    cachedWrite: 0,
    completion: 3,
    reasoning: 2
  })
  const { status, ...head } = responseHead({ id: "resp_1", created: 1, model: "m" })
  const {
    instructions,
    max_output_tokens,
    metadata,
    parallel_tool_calls,
    temperature,
    text,
    tool_choice,
    tools,
    top_p,
    reasoning,
    ...told
  } = echoOf({})
  // What a client has sent is told again as it came, and has no type here.
  const asked = {
    instructions,
    max_output_tokens,
    metadata,
    parallel_tool_calls,
    temperature,
    text,
    tool_choice,
    tools,
    top_p,
    reasoning
  }
  const response: Pick<
    OpenAI.Responses.Response,
    | "created_at"
    | "error"
    | "id"
    | "incomplete_details"
    | "model"
    | "object"
    | "previous_response_id"
    | "status"
    | "truncation"
    | "usage"
  > = { ...head, ...told, status, usage }
  expect({ ...response, ...asked }).toMatchObject({ object: "response", tools: [], usage: { total_tokens: 8 } })
})
