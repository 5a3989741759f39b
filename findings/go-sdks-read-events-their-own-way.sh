#!/usr/bin/env bash
# What the official SDKs of Google and Anthropic for Go hear of event streams that a reader of the standard takes alike.
#
# google.golang.org/genai 1.77.0 takes an event for one line: a comment and an `event:` line, which proxies and
# servers write, each end the answer in an error. github.com/anthropics/anthropic-sdk-go 1.84.0 goes by the `event:` line
# alone, whatever `type` the data has: without it nothing of an answer is heard, an error neither, and no error is told at the end.
#
# Seen:
#   Google, bare data: "half and half" error false
#   Google, a comment apart: "half " error true
#   Google, a name: "half " error true
#   Google, CR LF: "half and half" error false
#   Anthropic, names: "half and half" error false
#   Anthropic, no names: "" error false
#   Anthropic, an error by its name: "half " error true
#   Anthropic, an error without one: "half " error false
#   Anthropic, CR LF: "half and half" error false
#
# Needs Go 1.24 or newer.
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
	"regexp"
	"strings"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"google.golang.org/genai"
)

func piece(words string) string {
	return `data: {"candidates":[{"content":{"role":"model","parts":[{"text":"` + words + `"}]}}]}` + "\n\n"
}

func event(kind, more string) string {
	return "event: " + kind + "\ndata: {\"type\":\"" + kind + `"` + more + "}\n\n"
}

func said(words string) string {
	return event("content_block_delta", `,"index":0,"delta":{"type":"text_delta","text":"`+words+`"}`)
}

func main() {
	body := ""
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		io.ReadAll(request.Body)
		answer.Header().Set("content-type", "text/event-stream")
		fmt.Fprint(answer, body)
	}))
	defer server.Close()
	ctx := context.Background()
	google, err := genai.NewClient(ctx, &genai.ClientConfig{APIKey: "none", Backend: genai.BackendGeminiAPI, HTTPOptions: genai.HTTPOptions{BaseURL: server.URL}})
	if err != nil {
		panic(err)
	}
	for _, each := range [][2]string{
		{"bare data", piece("half ") + piece("and half")},
		{"a comment apart", piece("half ") + ": ping\n\n" + piece("and half")},
		{"a name", piece("half ") + "event: message\n" + piece("and half")},
		{"CR LF", strings.ReplaceAll(piece("half ")+piece("and half"), "\n", "\r\n")},
	} {
		body = each[1]
		words, failed := "", false
		for answer, err := range google.Models.GenerateContentStream(ctx, "m", genai.Text("Hello"), nil) {
			if err != nil {
				failed = true
				break
			}
			words += answer.Text()
		}
		fmt.Printf("Google, %s: %q error %v\n", each[0], words, failed)
	}

	client := anthropic.NewClient(option.WithBaseURL(server.URL), option.WithAPIKey("none"), option.WithMaxRetries(0))
	start := event("message_start", `,"message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}`) +
		event("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`) + said("half ")
	end := said("and half") + event("content_block_stop", `,"index":0`) +
		event("message_delta", `,"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":2}`) + event("message_stop", "")
	failure := event("error", `,"error":{"type":"overloaded_error","message":"busy"}`)
	names := regexp.MustCompile("event: .*\n")
	for _, each := range [][2]string{
		{"names", start + end},
		{"no names", names.ReplaceAllString(start+end, "")},
		{"an error by its name", start + failure},
		{"an error without one", start + names.ReplaceAllString(failure, "")},
		{"CR LF", strings.ReplaceAll(start+end, "\n", "\r\n")},
	} {
		body = each[1]
		stream := client.Messages.NewStreaming(ctx, anthropic.MessageNewParams{
			Model:     "m",
			MaxTokens: 9,
			Messages:  []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Hello"))},
		})
		words := ""
		for stream.Next() {
			words += stream.Current().Delta.Text
		}
		fmt.Printf("Anthropic, %s: %q error %v\n", each[0], words, stream.Err() != nil)
	}
}
GO
go mod init finding > log.txt 2>&1
go get google.golang.org/genai@v1.77.0 github.com/anthropics/anthropic-sdk-go@v1.84.0 >> log.txt 2>&1 || { cat log.txt; exit 1; }
go run . 2> log.txt | tee seen.txt
cat > wanted.txt <<'TXT'
Google, bare data: "half and half" error false
Google, a comment apart: "half " error true
Google, a name: "half " error true
Google, CR LF: "half and half" error false
Anthropic, names: "half and half" error false
Anthropic, no names: "" error false
Anthropic, an error by its name: "half " error true
Anthropic, an error without one: "half " error false
Anthropic, CR LF: "half and half" error false
TXT
diff wanted.txt seen.txt
