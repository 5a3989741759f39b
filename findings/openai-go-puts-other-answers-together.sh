#!/usr/bin/env bash
# What the official SDK for OpenAI in Go makes of streams that its own siblings put together without a word.
#
# `ChatCompletionAccumulator` of github.com/openai/openai-go/v3 3.99.0 drops each chunk whose `id` is not that of the first: a server that
# leaves ids out behind the first chunk, or makes a new one for each, leaves the answer at its first piece. `AddChunk` says false, `Err()`
# nothing. A chunk that repeats `id` and `name` of a call, as some servers do, has the name joined to itself, so that a tool is asked for
# by a name that no tool has; a lone call with index 1 gets an empty call before it. A stream that just ends is no error either.
# A gateway writes one id into all chunks of an answer, and each name once.
#
# Seen:
#   as OpenAI does: "half and half" stop, added true, error <nil>
#   other ids: "half " , added false, error <nil>
#   no ids: "half " , added false, error <nil>
#   id and name again: a oneone({"n":1}), added true, error <nil>
#   a lone call with index 1:  () a one({"n":1}), added true, error <nil>
#   the body ends: "half " , added true, error <nil>
#
# Needs Go 1.22 or newer.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

func chunk(id, delta, finish string) string {
	if id != "" {
		id = `"id":"` + id + `",`
	}
	return `data: {` + id + `"object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":` + delta + `,"finish_reason":` + finish + "}]}\n\n"
}

func text(id, words, finish string) string {
	return chunk(id, `{"content":"`+words+`"}`, finish)
}

func call(index int, arguments, finish string) string {
	return chunk("c", fmt.Sprintf(`{"tool_calls":[{"index":%d,"id":"a","type":"function","function":{"name":"one","arguments":"%s"}}]}`, index, arguments), finish)
}

func main() {
	body := ""
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		io.ReadAll(request.Body)
		answer.Header().Set("content-type", "text/event-stream")
		fmt.Fprint(answer, body)
	}))
	defer server.Close()
	client := openai.NewClient(option.WithBaseURL(server.URL+"/v1"), option.WithAPIKey("none"))
	done := "data: [DONE]\n\n"
	for _, each := range [][2]string{
		{"as OpenAI does", text("c", "half ", "null") + text("c", "and half", `"stop"`) + done},
		{"other ids", text("c", "half ", "null") + text("d", "and half", `"stop"`) + done},
		{"no ids", text("c", "half ", "null") + text("", "and half", `"stop"`) + done},
		{"id and name again", call(0, `{\"n\"`, "null") + call(0, ":1}", `"tool_calls"`) + done},
		{"a lone call with index 1", call(1, `{\"n\":1}`, `"tool_calls"`) + done},
		{"the body ends", text("c", "half ", "null")},
	} {
		body = each[1]
		stream := client.Chat.Completions.NewStreaming(context.Background(), openai.ChatCompletionNewParams{
			Model:    "m",
			Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hello")},
		})
		whole := openai.ChatCompletionAccumulator{}
		added := true
		for stream.Next() {
			added = whole.AddChunk(stream.Current()) && added
		}
		choice := whole.Choices[0]
		said := fmt.Sprintf("%q %s", choice.Message.Content, choice.FinishReason)
		if len(choice.Message.ToolCalls) > 0 {
			said = ""
			for at, call := range choice.Message.ToolCalls {
				if at > 0 {
					said += " "
				}
				said += fmt.Sprintf("%s %s(%s)", call.ID, call.Function.Name, call.Function.Arguments)
			}
		}
		fmt.Printf("%s: %s, added %v, error %v\n", each[0], said, added, stream.Err())
	}
}
GO
go mod init finding > log.txt 2>&1
go get github.com/openai/openai-go/v3@v3.99.0 >> log.txt 2>&1 || { cat log.txt; exit 1; }
go run . | tee seen.txt
cat > wanted.txt <<'TXT'
as OpenAI does: "half and half" stop, added true, error <nil>
other ids: "half " , added false, error <nil>
no ids: "half " , added false, error <nil>
id and name again: a oneone({"n":1}), added true, error <nil>
a lone call with index 1:  () a one({"n":1}), added true, error <nil>
the body ends: "half " , added true, error <nil>
TXT
diff wanted.txt seen.txt
