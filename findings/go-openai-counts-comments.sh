#!/usr/bin/env bash
# How long a client for Go bears a server that keeps its connection alive.
#
# github.com/sashabaranov/go-openai 1.43.0 counts every line between two events that is no data, and ends the stream at more than
# 300 of them with "stream has sent too many empty messages". A comment with the blank line that ends it counts as two: at one
# each second, a model that takes two and a half minutes over its first token is never heard. 150 comments are fine, 151 are not;
# without blank lines 300 are. `EmptyMessagesLimit` raises it.
#
# Seen:
#   150 comments: "Hi"
#   151 comments: stream has sent too many empty messages
#   300 comments without blank lines: "Hi"
#   151 comments, EmptyMessagesLimit 1000: "Hi"
#
# Needs Go 1.22 or newer.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
cat > go.mod <<'MOD'
module finding

go 1.22

require github.com/sashabaranov/go-openai v1.43.0
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	openai "github.com/sashabaranov/go-openai"
)

const answer = `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",` +
	`"choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"

func heard(comments string, limit uint) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("content-type", "text/event-stream")
		fmt.Fprint(w, comments+answer)
	}))
	defer server.Close()
	config := openai.DefaultConfig("none")
	config.BaseURL = server.URL + "/v1"
	if limit > 0 {
		config.EmptyMessagesLimit = limit
	}
	request := openai.ChatCompletionRequest{Model: "m", Messages: []openai.ChatCompletionMessage{{Role: "user", Content: "Hello"}}}
	stream, err := openai.NewClientWithConfig(config).CreateChatCompletionStream(context.Background(), request)
	if err != nil {
		return err.Error()
	}
	defer stream.Close()
	part, err := stream.Recv()
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%q", part.Choices[0].Delta.Content)
}

func main() {
	fmt.Println("150 comments:", heard(strings.Repeat(": ping\n\n", 150), 0))
	fmt.Println("151 comments:", heard(strings.Repeat(": ping\n\n", 151), 0))
	fmt.Println("300 comments without blank lines:", heard(strings.Repeat(": ping\n", 300), 0))
	fmt.Println("151 comments, EmptyMessagesLimit 1000:", heard(strings.Repeat(": ping\n\n", 151), 1000))
}
GO
go mod tidy > tidy.txt 2>&1 || { cat tidy.txt; exit 1; }
go run . | tee seen.txt
cat > wanted.txt <<'TXT'
150 comments: "Hi"
151 comments: stream has sent too many empty messages
300 comments without blank lines: "Hi"
151 comments, EmptyMessagesLimit 1000: "Hi"
TXT
diff wanted.txt seen.txt
