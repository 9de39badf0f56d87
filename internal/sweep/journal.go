package sweep

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

// Journal is a file of finished rows, one JSON object on each line. A row is on disk before the next is begun.
type Journal struct {
	path string
	file *os.File
	done map[string]Row
}

// OpenJournal reads what is finished and opens the file for more. The last line may be cut short, by a crash or a full
// disk: it is dropped. Errors: fault.Output, and fault.Usage for a file that holds something else.
func OpenJournal(path string) (*Journal, error) {
	j := &Journal{path: path, done: map[string]Row{}}
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, j.failed(err)
	}
	whole := content[:bytes.LastIndexByte(content, '\n')+1]
	lines := bufio.NewScanner(bytes.NewReader(whole))
	lines.Buffer(nil, len(whole)+1)
	for lines.Scan() {
		var r Row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil || r.Key == "" {
			return nil, fault.New(fault.Usage, "not_a_journal", "the file holds something else than results of a sweep").InFile(path).
				WithHint("choose another folder with -o, or remove the file")
		}
		j.done[r.Key] = r
	}
	if j.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return nil, j.failed(err)
	}
	err = j.file.Truncate(int64(len(whole)))
	if err == nil {
		_, err = j.file.Seek(0, io.SeekEnd)
	}
	if err != nil {
		j.file.Close()
		return nil, j.failed(err)
	}
	return j, nil
}

func (j *Journal) failed(err error) error {
	return fault.Wrap(fault.Output, "output_failed", err, "cannot be written").InFile(j.path)
}

// Finished returns the row of a key, if it was finished before.
func (j *Journal) Finished(key string) (Row, bool) {
	r, ok := j.done[key]
	return r, ok
}

// Add writes a row to the disk.
func (j *Journal) Add(r Row) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err = j.file.Write(append(line, '\n')); err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		return j.failed(err)
	}
	j.done[r.Key] = r
	return nil
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

// Key hashes what decides a row: all of it must be in parts, in JSON.
func Key(parts ...any) (string, error) {
	text, err := json.Marshal(parts)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]), nil
}
