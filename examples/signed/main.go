// Command signed makes one signed call of the gateway.
//
//	YIQIAO_KEY=密钥 go run ./examples/signed https://gateway.example his-main POST /api/v1/settlements bill.json
//	YIQIAO_KEY=密钥 go run ./examples/signed https://gateway.example his-main GET /api/v1/settlements/B...
//
// In a program of your own any SM3 that is a hash.Hash will do, and SSL_CERT_FILE names certificates to
// trust when they are not the system's.
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"yiqiao/crypto/sm"
)

// sign puts the headers of a signed call on r, whose method, URL and Idempotency-Key are set already.
func sign(sm3 func() hash.Hash, key []byte, system string, r *http.Request, body []byte) {
	h := sm3()
	h.Write(body)
	digest := hex.EncodeToString(h.Sum(nil))
	stamp, nonce := strconv.FormatInt(time.Now().Unix(), 10), rand.Text()
	text := strings.Join([]string{"yiqiao-call-1", system, r.Method, r.URL.EscapedPath(), r.URL.RawQuery, stamp, nonce,
		r.Header.Get("Idempotency-Key"), digest}, "\n")
	mac := hmac.New(sm3, key)
	mac.Write([]byte(text))
	r.Header.Set("Yiqiao-System", system)
	r.Header.Set("Yiqiao-Timestamp", stamp)
	r.Header.Set("Yiqiao-Nonce", nonce)
	r.Header.Set("Yiqiao-Digest", "sm3="+digest)
	r.Header.Set("Yiqiao-Signature", "hmac-sm3="+hex.EncodeToString(mac.Sum(nil)))
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 4 {
		return fmt.Errorf("usage: signed BASE SYSTEM METHOD TARGET [FILE]")
	}
	var body []byte
	if len(args) > 4 {
		var err error
		if body, err = os.ReadFile(args[4]); err != nil {
			return err
		}
	}
	p, err := sm.New("")
	if err != nil {
		return err
	}
	r, err := http.NewRequest(args[2], args[0]+args[3], bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	sign(func() hash.Hash { return p.NewSM3() }, []byte(os.Getenv("YIQIAO_KEY")), args[1], r, body)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(os.Stdout, answer.Body)
	if err == nil && answer.StatusCode >= 400 {
		err = fmt.Errorf("%s", answer.Status)
	}
	return err
}
