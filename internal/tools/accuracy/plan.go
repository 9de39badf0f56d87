package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
)

// family is an architecture with its pairs, one for each seed.
type family struct {
	Family string           `json:"family"`
	Title  string           `json:"title"`
	Seeds  []int            `json:"seeds"`
	Tasks  map[string][]int `json:"tasks"` // head → the class of each of its outputs

	pairs   []pair
	missing []int // seeds that are not trained
}

// pair is two or more models of one seed.
type pair struct {
	family *family
	seed   int
	heads  []string
	files  []string // by head
	epochs int
	models string // hash of all models
}

func (p pair) name() string { return fmt.Sprintf("%s-%d", p.family.Family, p.seed) }

// entry is what bench/train.py writes beside a model.
type entry struct {
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	Epochs int    `json:"epochs"`
}

// plan reads which pairs there are to be, and which are trained.
func (b *benchmark) plan() ([]*family, error) {
	text, err := os.ReadFile(filepath.Join(b.cache, "plan.json"))
	if err != nil {
		return nil, fmt.Errorf("%w: python3 bench/train.py makes the pairs", err)
	}
	var families []*family
	if err := json.Unmarshal(text, &families); err != nil {
		return nil, fmt.Errorf("plan.json: %w", err)
	}
	for _, f := range families {
		for _, seed := range f.Seeds {
			p, err := b.pair(f, seed)
			switch {
			case os.IsNotExist(err):
				f.missing = append(f.missing, seed)
			case err != nil:
				return nil, err
			default:
				f.pairs = append(f.pairs, p)
			}
		}
	}
	return families, nil
}

// pair finds a pair's models. The error is os.ErrNotExist where one is missing.
func (b *benchmark) pair(f *family, seed int) (pair, error) {
	p := pair{family: f, seed: seed}
	for head := range f.Tasks {
		p.heads = append(p.heads, head)
	}
	sort.Strings(p.heads)
	hash := sha256.New()
	for _, head := range p.heads {
		text, err := os.ReadFile(filepath.Join(b.cache, p.name()+"-"+head+".json"))
		if err != nil {
			return p, err
		}
		var e entry
		if err := json.Unmarshal(text, &e); err != nil {
			return p, fmt.Errorf("%s-%s.json: %w", p.name(), head, err)
		}
		p.files = append(p.files, filepath.Join(b.cache, e.File))
		p.epochs = e.Epochs
		fmt.Fprintln(hash, e.SHA256)
	}
	p.models = fmt.Sprintf("%x", hash.Sum(nil))
	return p, nil
}
