#!/usr/bin/env bash
# What langchaingo makes of calls of tools in a stream of chat completions, and of an error in it.
#
# github.com/tmc/langchaingo 0.1.14 never looks at a call's `index`. A piece with arguments and without `type` goes to the call
# that came last, so two calls opened in one piece become one without arguments and one with those of both. Any other piece is a
# call of its own: one that repeats `type` breaks a call in two, and one with empty arguments adds a call without a name. `error`
# in an event, as servers tell a failure after status 200, is not read: what came so far is the answer, without an error.
#
# Seen:
#   one after the other: one({"n":1}) two({"n":2}), error <nil>
#   opened together: one() two({"n":1}{"n":2}), error <nil>
#   type in each piece: one({"n") (:1}), error <nil>
#   an empty last piece: one({"n":1}) (), error <nil>
#   an error event: "half an ", error <nil>
#
# Needs Go 1.24.4 or newer.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
cat > go.mod <<'MOD'
module finding

go 1.24.4

require github.com/tmc/langchaingo v0.1.14
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/openai"
)

func data(event string) string { return "data: " + event + "\n\n" }

func delta(fields string) string {
	return data(`{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{` + fields +
		`},"finish_reason":null}]}`)
}

func calls(pieces ...string) string { return delta(`"tool_calls":[` + strings.Join(pieces, ",") + `]`) }

func opened(index int, id, name, arguments string) string {
	return fmt.Sprintf(`{"index":%d,"id":%q,"type":"function","function":{"name":%q,"arguments":%q}}`, index, id, name, arguments)
}

func more(index int, arguments string) string {
	return fmt.Sprintf(`{"index":%d,"function":{"arguments":%q}}`, index, arguments)
}

const end = `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",` +
	`"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}` + "\n\ndata: [DONE]\n\n"

func heard(body string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("content-type", "text/event-stream")
		_, _ = io.WriteString(w, body)
	}))
	defer server.Close()
	model, err := openai.New(openai.WithBaseURL(server.URL+"/v1"), openai.WithToken("none"), openai.WithModel("m"))
	if err != nil {
		panic(err)
	}
	hello := []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, "Hello")}
	stream := llms.WithStreamingFunc(func(context.Context, []byte) error { return nil })
	answer, err := model.GenerateContent(context.Background(), hello, stream)
	if err != nil {
		return fmt.Sprintf("error %v", err)
	}
	said := []string{}
	for _, call := range answer.Choices[0].ToolCalls {
		said = append(said, fmt.Sprintf("%s(%s)", call.FunctionCall.Name, call.FunctionCall.Arguments))
	}
	if len(said) == 0 {
		said = append(said, fmt.Sprintf("%q", answer.Choices[0].Content))
	}
	return strings.Join(said, " ") + fmt.Sprintf(", error %v", err)
}

func main() {
	one, two := opened(0, "a", "one", ""), opened(1, "b", "two", "")
	first, second := calls(more(0, `{"n":1}`)), calls(more(1, `{"n":2}`))
	fmt.Println("one after the other:", heard(calls(one)+first+calls(two)+second+end))
	fmt.Println("opened together:", heard(calls(one, two)+first+second+end))
	typed := calls(opened(0, "a", "one", `{"n"`)) + calls(`{"index":0,"type":"function","function":{"arguments":":1}"}}`)
	fmt.Println("type in each piece:", heard(typed+end))
	fmt.Println("an empty last piece:", heard(calls(opened(0, "a", "one", `{"n":1}`))+calls(more(0, ""))+end))
	fmt.Println("an error event:", heard(delta(`"content":"half an "`)+data(`{"error":{"message":"out of memory","type":"server_error"}}`)))
}
GO
GOFLAGS=-mod=mod go run . 2> log.txt | tee seen.txt || { cat log.txt; exit 1; }
cat > wanted.txt <<'TXT'
one after the other: one({"n":1}) two({"n":2}), error <nil>
opened together: one() two({"n":1}{"n":2}), error <nil>
type in each piece: one({"n") (:1}), error <nil>
an empty last piece: one({"n":1}) (), error <nil>
an error event: "half an ", error <nil>
TXT
diff wanted.txt seen.txt
