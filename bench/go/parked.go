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

func parked() {
	const many = 1000000
	if !isWanted("parked_bytes") && !isWanted("parked_vmas") && !isWanted("parked_create") && !isWanted("parked_wake") {
		return
	}
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
	if isWanted("parked_bytes") {
		printRow("parked_bytes", (residentBytes()-bytesBefore)/many)
	}
	if isWanted("parked_vmas") {
		printRow("parked_vmas", mappings()-mappingsBefore)
	}
	if isWanted("parked_create") {
		printRow("parked_create", float64(made.Nanoseconds())/many)
	}
	began = time.Now()
	close(gate)
	ended.Wait()
	if isWanted("parked_wake") {
		printRow("parked_wake", float64(time.Since(began).Nanoseconds())/1e6)
	}
}
