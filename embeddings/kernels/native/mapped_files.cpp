// SIGBUS handler: a mapped file that was cut short, or whose disk failed, is named in one line, and the status is 2.

#include <signal.h>
#include <torch/library.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <string>

namespace tierwise {
namespace {

constexpr int64_t kMost = 64;  // files that are named; of more, the later ones are not
constexpr size_t kText = 8192;

struct Mapping {
  std::atomic<uintptr_t> begin{0};  // 0: a free place
  std::atomic<uintptr_t> end{0};
  std::atomic<size_t> length{0};
  char text[kText];
};

Mapping mappings[kMost];
std::mutex changing;
std::atomic_flag saying = ATOMIC_FLAG_INIT;
struct sigaction before;

// Calls nothing that is not async-signal-safe. Other threads meet the same fault while one speaks: they wait for the end.
void on_bus_error(int signal, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  if (info->si_code > 0) {  // the kernel's, of an access; what kill sends has no address
    for (const Mapping& mapping : mappings) {
      if (mapping.begin == 0 || address < mapping.begin || address >= mapping.end) continue;
      while (saying.test_and_set()) pause();
      size_t done = 0;
      while (done < mapping.length) {
        const ssize_t written = write(STDERR_FILENO, mapping.text + done, mapping.length - done);
        if (written <= 0) break;
        done += written;
      }
      _exit(2);
    }
  }
  sigaction(SIGBUS, &before, nullptr);  // not ours: whoever was asked before is asked again
  if (info->si_code <= 0) raise(signal);
}

// Returns the mapping's place, to be given to forget_mapping; -1 where there is none left.
int64_t name_mapping(int64_t address, int64_t bytes, std::string text) {
  const std::lock_guard<std::mutex> lock(changing);
  static const bool installed = [] {
    struct sigaction ours {};
    ours.sa_sigaction = on_bus_error;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&ours.sa_mask);
    return sigaction(SIGBUS, &ours, &before) == 0;
  }();
  if (!installed || address <= 0 || bytes <= 0) return -1;
  for (int64_t place = 0; place < kMost; ++place) {
    Mapping& mapping = mappings[place];
    if (mapping.begin != 0) continue;
    const size_t length = text.copy(mapping.text, kText);
    mapping.length = length;
    mapping.end = static_cast<uintptr_t>(address) + static_cast<uintptr_t>(bytes);
    mapping.begin = static_cast<uintptr_t>(address);  // last: from here on the handler sees it
    return place;
  }
  return -1;
}

void forget_mapping(int64_t place) {
  const std::lock_guard<std::mutex> lock(changing);
  if (place >= 0 && place < kMost) mappings[place].begin = 0;
}

}  // namespace
}  // namespace tierwise

TORCH_LIBRARY_FRAGMENT(recsys_native, m) {
  m.def("name_mapping(int address, int bytes, str text) -> int", &tierwise::name_mapping);
  m.def("forget_mapping(int place) -> ()", &tierwise::forget_mapping);
}
