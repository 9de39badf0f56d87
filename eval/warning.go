package eval

// Warning is something about a result that a user should know. It travels with the result.
type Warning struct {
	Code    string `json:"code"` // stable snake_case name, part of the JSON contract
	Message string `json:"message"`
	Head    string `json:"head,omitempty"`
}
