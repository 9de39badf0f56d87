package match_test

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/transform/match"
)

// twoModels: two models of two features each. Feature 0 of the one behaves like
// feature 1 of the other, and the other way round.
var twoModels = match.Features{
	Widths: []int{2, 2},
	Mean:   []float64{0, 0, 0, 0},
	Cov: []float64{
		1.0, 0.2, 0.1, 0.9,
		0.2, 1.0, 0.8, 0.3,
		0.1, 0.8, 1.0, 0.1,
		0.9, 0.3, 0.1, 1.0,
	},
}

func ExampleGreedy() {
	z, err := match.Greedy(twoModels, match.DefaultOptions())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(z.Width, "merged features with members", z.Members())
	// Output: 2 merged features with members [[0 3] [1 2]]
}

func ExamplePermute() {
	z, err := match.Permute(twoModels, match.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	parts, _ := z.Split(twoModels.Widths)
	fmt.Println("model 1 is matched to model 0 by", parts[1])
	// Output: model 1 is matched to model 0 by [1 0]
}

func ExampleRandomHalves() {
	z, keep, err := match.RandomHalves(twoModels, match.Options{Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fromB := 0
	for _, k := range keep {
		fromB += k / 2
	}
	fmt.Println(z.Width, "merged features,", fromB, "of them imitates one of the second model")
	// Output: 2 merged features, 1 of them imitates one of the second model
}

func ExampleAssign() {
	of, _ := match.Assign(3, []float64{
		7, 5, 1,
		8, 3, 2,
		1, 1, 4,
	})
	fmt.Println(of)
	// Output: [1 0 2]
}
