#!/usr/bin/env bash
# What Ollama's own client for Go says when the connection breaks in the middle of an answer: nothing.
#
# `Chat` of github.com/ollama/ollama/api 0.17.4, which `ollama run` uses as well, reads lines until there are no more, and does not
# ask why: where the connection broke, and where the server ended the body before `"done": true`, it returns no error, and what
# came so far stands as the answer. Only who looks for a piece with `Done` sees it. langchaingo 0.1.14 has the same loop for
# Ollama, keeps the text only from the last piece, and so returns an empty answer without an error. Its client for chat
# completions does tell a broken connection.
#
# Seen:
#   ollama, the connection breaks: "half an ", done false, error <nil>
#   ollama, the body ends: "half an ", done false, error <nil>
#   langchaingo, Ollama, the connection breaks: "", error <nil>
#   langchaingo, Ollama, the body ends: "", error <nil>
#   langchaingo, chat completions, the connection breaks: error reading streaming response: unexpected EOF
#
# Needs Go 1.26 or newer.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
cat > go.mod <<'MOD'
module finding

go 1.26

require (
	github.com/ollama/ollama v0.17.4
	github.com/tmc/langchaingo v0.1.14
)
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/ollama/ollama/api"
	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/ollama"
	"github.com/tmc/langchaingo/llms/openai"
)

const line = `{"model":"m","message":{"role":"assistant","content":"half an "},"done":false}` + "\n"
const event = `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",` +
	`"choices":[{"index":0,"delta":{"content":"half an "},"finish_reason":null}]}` + "\n\n"

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	breaks := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		if r.URL.Path == "/api/chat" {
			w.Header().Set("content-type", "application/x-ndjson")
			_, _ = io.WriteString(w, line)
		} else {
			w.Header().Set("content-type", "text/event-stream")
			_, _ = io.WriteString(w, event)
		}
		w.(http.Flusher).Flush()
		if breaks {
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()
	background := context.Background()
	stream := llms.WithStreamingFunc(func(context.Context, []byte) error { return nil })
	ask := func(model llms.Model) (string, error) {
		answer, err := model.GenerateContent(background, []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, "Hello")}, stream)
		if err != nil {
			return "", err
		}
		return answer.Choices[0].Content, nil
	}
	ends := []struct {
		name   string
		breaks bool
	}{{"the connection breaks", true}, {"the body ends", false}}

	client := api.NewClient(must(url.Parse(server.URL)), http.DefaultClient)
	for _, end := range ends {
		breaks = end.breaks
		text, done := "", false
		request := api.ChatRequest{Model: "m", Messages: []api.Message{{Role: "user", Content: "Hello"}}}
		err := client.Chat(background, &request, func(piece api.ChatResponse) error {
			text += piece.Message.Content
			done = piece.Done
			return nil
		})
		fmt.Printf("ollama, %s: %q, done %v, error %v\n", end.name, text, done, err)
	}
	chain := must(ollama.New(ollama.WithServerURL(server.URL), ollama.WithModel("m")))
	for _, end := range ends {
		breaks = end.breaks
		text, err := ask(chain)
		fmt.Printf("langchaingo, Ollama, %s: %q, error %v\n", end.name, text, err)
	}
	breaks = true
	_, err := ask(must(openai.New(openai.WithBaseURL(server.URL+"/v1"), openai.WithToken("none"), openai.WithModel("m"))))
	fmt.Printf("langchaingo, chat completions, the connection breaks: %v\n", err)
}
GO
GOFLAGS=-mod=mod go run . 2> log.txt | tee seen.txt || { cat log.txt; exit 1; }
cat > wanted.txt <<'TXT'
ollama, the connection breaks: "half an ", done false, error <nil>
ollama, the body ends: "half an ", done false, error <nil>
langchaingo, Ollama, the connection breaks: "", error <nil>
langchaingo, Ollama, the body ends: "", error <nil>
langchaingo, chat completions, the connection breaks: error reading streaming response: unexpected EOF
TXT
diff wanted.txt seen.txt
