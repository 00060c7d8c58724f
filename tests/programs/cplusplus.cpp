// A C++17 program on the runtime: that its headers are C++, and that one can live with them there.
#include <gmptrace/gmpt.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

namespace {

// The least that a C++ user would write first: a typed channel, and goroutines of callable objects.
template <class T> class channel {
  public:
    explicit channel(size_t capacity) : chan_(gmpt_chan_new(sizeof(T), capacity), gmpt_chan_release) {}
    int send(const T &value) { return gmpt_chan_send(chan_.get(), &value); }
    int receive(T &value) { return gmpt_chan_recv(chan_.get(), &value); }
    int close() { return gmpt_chan_close(chan_.get()); }

  private:
    std::unique_ptr<gmpt_chan, void (*)(gmpt_chan *)> chan_;
};

template <class Function> void go(Function function)
{
    auto *copy = new Function(std::move(function));
    gmpt_go(
        [](void *args) {
            std::unique_ptr<Function> owned(*static_cast<Function **>(args));
            (*owned)();
        },
        &copy, sizeof copy);
}

int run(void *)
{
    channel<int> numbers(4);
    std::string text = "sum";
    gmpt_mutex mutex = GMPT_MUTEX_INIT;
    gmpt_waitgroup group = GMPT_WAITGROUP_INIT;

    gmpt_waitgroup_add(&group, 1);
    go([&] {
        for (int i = 1; i <= 100; i++)
            numbers.send(i);
        numbers.close();
        gmpt_waitgroup_done(&group);
    });
    int sum = 0, number = 0;
    while (numbers.receive(number) == 0) {
        gmpt_mutex_lock(&mutex);
        sum += number;
        gmpt_mutex_unlock(&mutex);
    }
    gmpt_waitgroup_wait(&group);

    // An exception is thrown and caught on a goroutine's stack.
    try {
        if (sum == 5050)
            throw std::string(text);
    } catch (const std::string &caught) {
        std::printf("%s %d\n", caught.c_str(), sum);
    }
    int listener = gmpt_listen("tcp:127.0.0.1:0");
    gmpt_close(listener);
    return gmpt_poll(-1, 1, GMPT_NEVER) < 0 && listener >= 0 ? 0 : 1;
}

} // namespace

int main() { return gmpt_run(run, nullptr); }
