package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
)

// verifyStaged loads what was staged again and verifies it.
func (m *merging) verifyStaged(staged *onnx.Staged, verify func(*onnx.Model) ([]transform.Check, error)) (*onnx.Model, error) {
	file, err := loadStaged(staged, m.f.output)
	if err != nil {
		return nil, fault.Wrap(fault.Verification, "does_not_load", err, "the written file does not load")
	}
	return file, m.timed("verify", func() error {
		m.result.Checks, err = verify(file)
		return err
	})
}

// write stages the file, verifies and judges what was written, and gives it its name if all is well.
func (m *merging) write(ctx context.Context) error {
	staged, err := onnx.Stage(m.res.Model, m.f.output, onnx.SaveOptions{Force: m.f.force})
	if err != nil {
		return err
	}
	defer staged.Discard()
	file, err := m.verifyStaged(staged, func(file *onnx.Model) ([]transform.Check, error) {
		return m.p.Verify(ctx, m.engine, file, m.res, m.source())
	})
	if err != nil {
		return err
	}
	if err := m.timed("evaluate", func() error { return m.evaluate(ctx, file) }); err != nil {
		return err
	}
	if m.program != nil {
		if err := m.timed("score", func() error { return m.score(ctx, file) }); err != nil {
			return err
		}
	}
	m.judge()
	if err := m.a.gateError(); err != nil {
		m.printResult()
		return m.writeReport(m.keepRejected(err))
	}
	if err := m.commit(staged); err != nil {
		return err
	}
	m.printResult()
	return m.writeReport(nil)
}

func (m *merging) commit(staged *onnx.Staged) error {
	bytes, err := os.ReadFile(staged.Path())
	if err != nil {
		return fault.Wrap(fault.Output, "output_failed", err, "cannot be read back").InFile(m.f.output)
	}
	sum := sha256.Sum256(bytes)
	if err := staged.Commit(); err != nil {
		return err
	}
	m.result.Output, m.result.FileBytes, m.result.FileSHA256 = m.f.output, int64(len(bytes)), hex.EncodeToString(sum[:])
	return nil
}

// keepRejected saves a model that a gate refused, where that was asked for; refusal stays the error.
func (m *merging) keepRejected(refusal error) error {
	if m.f.keepRejected == "" {
		return refusal
	}
	if err := onnx.Save(m.res.Model, m.f.keepRejected, onnx.SaveOptions{Force: m.f.force}); err != nil {
		m.a.warn(warning{Code: "rejected_not_saved", Message: err.Error()})
		return refusal
	}
	m.result.Rejected = m.f.keepRejected
	m.a.info("the refused model is in %s", m.f.keepRejected)
	return refusal
}

// evaluate measures agreement without labels and, with test data, accuracy.
func (m *merging) evaluate(ctx context.Context, file *onnx.Model) error {
	m.pairOutputs(m.res)
	src, what, err := m.heldOut()
	if err != nil {
		return err
	}
	if src != nil {
		if m.result.Agreement, err = m.scorer.agreement(ctx, file, m.sources, src); err != nil {
			return err
		}
		m.result.JudgedOn = what
	}
	if len(m.scorer.tests) > 0 {
		if m.result.Scores, err = m.scorer.standardising(m.calib).against(ctx, file, m.tasks(), m.sources); err != nil {
			return err
		}
	}
	if err := m.judgeShape(ctx); err != nil {
		return err
	}
	return m.judgeControls(ctx)
}

// tasks are the heads of the merged file.
func (m *merging) tasks() []eval.Task {
	var tasks []eval.Task
	for _, s := range m.sources {
		if p, ok := s.logitsPair(); ok {
			tasks = append(tasks, eval.Task{Head: s.Head, Classes: m.scorer.classes[s.Head], Output: p.Merged})
		}
	}
	return tasks
}

// judge applies the gates and the verdict to the figures. What was chosen by its goals keeps them on the data that it was
// chosen by; that it does not on the rest is a warning.
func (m *merging) judge() {
	g := m.f.gates
	reported := m.goalGates(m.result.Scores, m.result.Agreement, m.result.Score)
	switch {
	case m.choice == nil || m.choice.gates == nil:
		for _, one := range reported {
			m.a.addGate(one)
		}
	default:
		m.choice.noteReported(m.result.Scores)
		for _, one := range m.choice.gates {
			m.a.addGate(one)
		}
		for _, one := range reported {
			if !one.Passed {
				m.a.warn(warning{Code: "goal_not_confirmed", Message: fmt.Sprintf("--%s was kept on the data that chose this merge, but not on the rest: %s", one.Name, one.Detail), Head: one.Head})
			}
		}
	}
	if g.beatsControl && m.needsData { // an exact merge has nothing to beat
		m.a.addGate(gateControl(&m.res.Report))
	}
	if g.strict {
		m.a.addGate(gateStrict(m.a.doc.Warnings, g.allow))
	}
	m.a.doc.Verdict, m.a.doc.Reason = verdict(&m.result)
}

// goalGates are the gates that figures of quality are held against, those that were asked for.
func (m *merging) goalGates(s *scores, agreement []agreementRow, score *scoreReport) (out []gate) {
	g := m.f.gates
	if g.maxDrop != nil {
		out = append(out, gateDrop(*g.maxDrop, s.Tasks))
	}
	if g.minJoint != nil {
		joint := gate{Name: "min-joint", Limit: *g.minJoint, Detail: "there is no joint accuracy: " + s.JointSkipped}
		if s.Joint != nil {
			joint = gateJoint(*g.minJoint, s.Joint.Value)
		}
		out = append(out, joint)
	}
	if g.minAgreement != nil {
		out = append(out, gateAgreement(*g.minAgreement, topRows(agreement)))
	}
	if g.scoreLimit != nil {
		out = append(out, gateScore(*g.scoreLimit, score))
	}
	return out
}
