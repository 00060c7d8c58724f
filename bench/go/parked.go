package main

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"time"
)

func residentBytes() float64 {
	var size, pages float64
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		fmt.Sscan(string(text), &size, &pages)
	}
	return pages * 4096
}

func mappings() float64 {
	text, _ := os.ReadFile("/proc/self/maps")
	return float64(bytes.Count(text, []byte("\n")))
}

var parkedKinds = []string{"parked", "small"}

// Go's stacks are all of one kind, so the rows of both our kinds tell of the same run. Where they lie cannot be told: its
// mappings are all that were added.
func report(what string, value float64) {
	for _, kind := range parkedKinds {
		if isWanted(kind + "_" + what) {
			printRow(kind+"_"+what, value)
		}
	}
}

func parked() {
	wanted := false
	for _, kind := range parkedKinds {
		for _, what := range []string{"bytes", "vmas", "create", "wake"} {
			wanted = wanted || isWanted(kind+"_"+what)
		}
	}
	if !wanted {
		return
	}
	const many = 1000000
	var ready, ended sync.WaitGroup
	gate := make(chan struct{})
	bytesBefore, mappingsBefore := residentBytes(), mappings()
	began := time.Now()
	ready.Add(many)
	ended.Add(many)
	for i := 0; i < many; i++ {
		go func() {
			ready.Done()
			<-gate
			ended.Done()
		}()
	}
	ready.Wait()
	made := time.Since(began)
	report("bytes", (residentBytes()-bytesBefore)/many)
	report("vmas", mappings()-mappingsBefore)
	report("create", float64(made.Nanoseconds())/many)
	began = time.Now()
	close(gate)
	ended.Wait()
	report("wake", float64(time.Since(began).Nanoseconds())/1e6)
}
