package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

type claims struct {
	Jobs    []string `json:"jobs"`
	Expires int64    `json:"exp"`
}

var errToken = errors.New("the token is not valid")

// readToken returns the claims of a JWT (RFC 7519) that the secret signed with HS256 and that has not expired.
func readToken(token string, secret []byte, now time.Time) (claims, error) {
	var found claims
	var header struct {
		Algorithm string `json:"alg"`
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return found, errToken
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return found, errToken
	}
	digest := hmac.New(sha256.New, secret)
	digest.Write([]byte(parts[0] + "." + parts[1]))
	if !hmac.Equal(digest.Sum(nil), signature) || decode(parts[0], &header) != nil || header.Algorithm != "HS256" {
		return found, errToken
	}
	if decode(parts[1], &found) != nil || found.Expires <= now.Unix() {
		return found, errToken
	}
	return found, nil
}

func decode(part string, into any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
