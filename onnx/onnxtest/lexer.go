package onnxtest

import (
	"fmt"
	"strconv"
	"strings"
)

// lexer reads the tokens of one line: words, quoted strings, and punctuation of one character each.
type lexer struct {
	rest string
	tok  string // the current token, "" at the end; a string keeps its quotes
}

func newLexer(line string) *lexer {
	lx := &lexer{rest: line}
	lx.next()
	return lx
}

func isWord(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_./:-+?", r)
}

// next moves on and returns the token that was current.
func (lx *lexer) next() string {
	was := lx.tok
	lx.rest = strings.TrimLeft(lx.rest, " \t")
	switch {
	case lx.rest == "" || lx.rest[0] == '#':
		lx.tok, lx.rest = "", ""
	case lx.rest[0] == '"':
		quoted, err := strconv.QuotedPrefix(lx.rest)
		if err != nil {
			quoted = lx.rest
		}
		lx.tok, lx.rest = quoted, lx.rest[len(quoted):]
	default:
		n := strings.IndexFunc(lx.rest, func(r rune) bool { return !isWord(r) })
		if n < 0 {
			n = len(lx.rest)
		}
		n = max(n, 1)
		lx.tok, lx.rest = lx.rest[:n], lx.rest[n:]
	}
	return was
}

// accept skips the token if it is the current one.
func (lx *lexer) accept(tok string) bool {
	if lx.tok != tok {
		return false
	}
	lx.next()
	return true
}

func (lx *lexer) expect(tok string) error {
	if !lx.accept(tok) {
		return fmt.Errorf("%q expected, got %q", tok, lx.tok)
	}
	return nil
}

// name reads a name, quoted or not.
func (lx *lexer) name() (string, error) {
	if strings.HasPrefix(lx.tok, `"`) {
		return strconv.Unquote(lx.next())
	}
	if lx.tok == "" || !isWord(rune(lx.tok[0])) {
		return "", fmt.Errorf("a name expected, got %q", lx.tok)
	}
	return lx.next(), nil
}

// list reads items between brackets, separated by commas.
func (lx *lexer) list(open, end string, item func() error) error {
	if err := lx.expect(open); err != nil {
		return err
	}
	for lx.tok != end {
		if err := item(); err != nil {
			return err
		}
		if !lx.accept(",") && lx.tok != end {
			return fmt.Errorf("%q or %q expected, got %q", ",", end, lx.tok)
		}
	}
	lx.next()
	return nil
}

// words reads a list of names or numbers.
func (lx *lexer) words(open, end string) ([]string, error) {
	var out []string
	err := lx.list(open, end, func() error {
		w, err := lx.name()
		out = append(out, w)
		return err
	})
	return out, err
}
