<?php
// A client in PHP (curl): client.php MODE PORT
[, $mode, $port] = $argv;
$curl = curl_init("http://127.0.0.1:$port/v1/chat/completions");
$ask = function (string $text, bool $stream) use ($curl): void {
    curl_setopt_array($curl, [
        CURLOPT_POST => true,
        CURLOPT_RETURNTRANSFER => !$stream,
        CURLOPT_TIMEOUT => 20,
        CURLOPT_HTTPHEADER => ['Content-Type: application/json'],
        CURLOPT_POSTFIELDS => json_encode([
            'model' => 'm',
            'stream' => $stream,
            'messages' => [['role' => 'user', 'content' => $text]],
        ]),
    ]);
};
if ($mode === 'chat' || $mode === 'large') {
    foreach (range(0, $mode === 'chat' ? 2 : 0) as $nth) {
        $ask($mode === 'chat' ? "chat $nth" : 'large ' . str_repeat('x', 3000000), false);
        echo json_decode(curl_exec($curl))->choices[0]->message->content, "\n";
    }
    exit(0);
}
$ask($mode, true);
curl_setopt($curl, CURLOPT_WRITEFUNCTION, function ($curl, string $piece) use ($mode): int {
    echo $piece;
    return $mode === 'abort' ? 0 : strlen($piece);
});
curl_exec($curl);
echo curl_errno($curl) === 0 ? "ENDED\n" : 'BROKEN ' . curl_error($curl) . "\n";
