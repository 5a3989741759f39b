# A client in Ruby (Net::HTTP): client.rb MODE PORT
require "json"
require "net/http"

$stdout.sync = true
mode, port = ARGV
http = Net::HTTP.new("127.0.0.1", port.to_i)
http.read_timeout = 20
ask = lambda do |text, stream|
  request = Net::HTTP::Post.new("/v1/chat/completions", "Content-Type" => "application/json")
  request.body = JSON.generate(model: "m", stream: stream, messages: [{ role: "user", content: text }])
  request
end

http.start do |connection|
  case mode
  when "chat"
    3.times do |nth|
      answer = connection.request(ask.call("chat #{nth}", false))
      puts JSON.parse(answer.body).dig("choices", 0, "message", "content")
    end
  when "large"
    answer = connection.request(ask.call("large #{"x" * 3_000_000}", false))
    puts JSON.parse(answer.body).dig("choices", 0, "message", "content")
  else
    begin
      connection.request(ask.call(mode, true)) do |answer|
        answer.read_body do |piece|
          print piece
          exit!(0) if mode == "abort"
        end
      end
      puts "ENDED"
    rescue StandardError => e
      puts "BROKEN #{e.class}"
    end
  end
end
