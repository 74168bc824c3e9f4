// The peer in Go: jobs in goroutines, in the two shapes that Gofer comes from.
//
// It reads requests from its standard input, one a line: SHAPE KIND COUNT NUMBER, as in
// "manager noop 2000 50", does the work so many times, and answers with the seconds that it took.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Job is a named unit of work.
type Job interface {
	Name() string
	Do(ctx context.Context, param any) error
}

// JobManager runs its jobs, each in a goroutine of its own.
type JobManager struct {
	jobs []Job
}

// Execute starts all jobs, waits for them and returns the first error. A panic becomes an error
// with the job's name and stack, and once a job has failed no more are started.
func (m *JobManager) Execute(ctx context.Context, param any) error {
	var wait sync.WaitGroup
	var once sync.Once
	var failed atomic.Bool
	var first error
	fail := func(err error) {
		once.Do(func() { first = err })
		failed.Store(true)
	}
	for _, job := range m.jobs {
		if failed.Load() {
			break
		}
		wait.Add(1)
		go func(job Job) {
			defer wait.Done()
			defer func() {
				if cause := recover(); cause != nil {
					fail(fmt.Errorf("job %s: panic: %v\n%s", job.Name(), cause, debug.Stack()))
				}
			}()
			if err := job.Do(ctx, param); err != nil {
				fail(err)
			}
		}(job)
	}
	wait.Wait()
	return first
}

// Group has errgroup's shape: Go starts a function, Wait returns the first error, which has
// cancelled the context of the others.
type Group struct {
	cancel context.CancelCauseFunc
	wait   sync.WaitGroup
	once   sync.Once
	err    error
}

// Go calls fn in a goroutine.
func (g *Group) Go(fn func() error) {
	g.wait.Add(1)
	go func() {
		defer g.wait.Done()
		if err := fn(); err != nil {
			g.once.Do(func() {
				g.err = err
				g.cancel(err)
			})
		}
	}()
}

// Wait waits for all functions and returns the first error.
func (g *Group) Wait() error {
	g.wait.Wait()
	g.cancel(g.err)
	return g.err
}

type noop struct{ name string }

func (j noop) Name() string                      { return j.name }
func (j noop) Do(_ context.Context, _ any) error { return nil }

type block struct{ name string }

func (j block) Name() string { return j.name }
func (j block) Do(_ context.Context, _ any) error {
	time.Sleep(10 * time.Millisecond)
	return nil
}

func jobs(kind string, count int) []Job {
	made := make([]Job, count)
	for i := range made {
		name := fmt.Sprintf("j%d", i)
		if kind == "block" {
			made[i] = block{name}
		} else {
			made[i] = noop{name}
		}
	}
	return made
}

func work(shape string, made []Job) error {
	if shape == "manager" {
		return (&JobManager{made}).Execute(context.Background(), nil)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	group := Group{cancel: cancel}
	for _, job := range made {
		job := job // before Go 1.22 all turns of a loop share one variable
		group.Go(func() error { return job.Do(ctx, nil) })
	}
	return group.Wait()
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var shape, kind string
		var count, number int
		if _, err := fmt.Sscan(lines.Text(), &shape, &kind, &count, &number); err != nil {
			panic(err)
		}
		made := jobs(kind, count)
		runtime.GC() // as the side in Python
		start := time.Now()
		for i := 0; i < number; i++ {
			if err := work(shape, made); err != nil {
				panic(err)
			}
		}
		fmt.Println(time.Since(start).Seconds())
	}
}
