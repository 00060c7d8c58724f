package main

import (
	"sync"
	"syscall"
	"time"
)

func cpuNs() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano() + usage.Stime.Nano())
}

func sleepers() {
	const many, seconds = 100000, 2
	if !isWanted("sleep_cpu") && !isWanted("sleep_late") {
		return
	}
	late := make([]time.Duration, many)
	base := time.Now().Add(300 * time.Millisecond)
	var group sync.WaitGroup
	group.Add(many)
	for i := 0; i < many; i++ {
		go func() {
			offset := time.Duration(uint32(i)*2654435761%1000000) * time.Microsecond
			for second := 0; second < seconds; second++ {
				deadline := base.Add(time.Duration(second)*time.Second + offset)
				time.Sleep(time.Until(deadline))
				late[i] = time.Since(deadline)
			}
			group.Done()
		}()
	}
	time.Sleep(time.Until(base))
	began := cpuNs()
	group.Wait()
	spent := cpuNs() - began
	if isWanted("sleep_cpu") {
		printRow("sleep_cpu", spent/(seconds*many))
	}
	if isWanted("sleep_late") {
		printRow("sleep_late", float64(percentile(late, 50).Nanoseconds())/1e3)
	}
}
