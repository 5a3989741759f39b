// A client in Go (net/http): client MODE PORT
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

func main() {
	mode, port := os.Args[1], os.Args[2]
	client := &http.Client{Timeout: 20 * time.Second}
	ask := func(text string, stream bool) *http.Response {
		body, _ := json.Marshal(map[string]any{"model": "m", "stream": stream, "messages": []message{{"user", text}}})
		answer, err := client.Post("http://127.0.0.1:"+port+"/v1/chat/completions", "application/json", bytes.NewReader(body))
		if err != nil {
			fmt.Println("FAILED", err)
			os.Exit(1)
		}
		return answer
	}
	whole := func(text string) {
		answer := ask(text, false)
		defer answer.Body.Close()
		var said struct{ Choices []struct{ Message message } }
		if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
			fmt.Println("FAILED", err)
			os.Exit(1)
		}
		fmt.Println(said.Choices[0].Message.Content)
	}
	switch mode {
	case "chat":
		for nth := range 3 {
			whole(fmt.Sprint("chat ", nth))
		}
	case "large":
		whole("large " + strings.Repeat("x", 3000000))
	default:
		answer := ask(mode, true)
		piece := make([]byte, 4096)
		for {
			size, err := answer.Body.Read(piece)
			os.Stdout.Write(piece[:size])
			if size > 0 && mode == "abort" {
				os.Exit(0)
			}
			if err == io.EOF {
				fmt.Println("ENDED")
				return
			}
			if err != nil {
				fmt.Println("BROKEN", err)
				return
			}
		}
	}
}
