package main

import (
	"sync"
	"syscall"
	"time"
)

func hog(end time.Time, group *sync.WaitGroup) {
	sum := 0
	for time.Now().Before(end) {
		for i := 0; i < 10000; i++ {
			sum ^= i
		}
	}
	sink = sum
	group.Done()
}

func preempt() {
	const hogs, sleepsMax = 4, 10000
	var late []time.Duration
	var group sync.WaitGroup
	end := time.Now().Add(2 * time.Second)
	group.Add(hogs)
	for i := 0; i < hogs; i++ {
		go hog(end, &group)
	}
	for time.Now().Before(end) && len(late) < sleepsMax {
		deadline := time.Now().Add(time.Millisecond)
		time.Sleep(time.Until(deadline))
		late = append(late, time.Since(deadline))
	}
	group.Wait()
	printRow("preempt", float64(percentile(late, 99).Nanoseconds())/1e3)
}

func handoff() {
	const calls = 50
	waited := make([]time.Duration, calls)
	for i := range waited {
		var group sync.WaitGroup
		var ran time.Time
		group.Add(1)
		go func() {
			ran = time.Now()
			group.Done()
		}()
		began := time.Now()
		syscall.Select(0, nil, nil, nil, &syscall.Timeval{Usec: 5000})
		group.Wait()
		waited[i] = ran.Sub(began)
	}
	printRow("handoff", float64(percentile(waited, 50).Nanoseconds())/1e3)
}

func delays() {
	if isWanted("preempt") {
		preempt()
	}
	if isWanted("handoff") {
		handoff()
	}
}
