/* SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

#include <malloc.h>
#include <regex.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sstream>

namespace
{

[[noreturn]] void
die(const std::string &message)
{
    std::cerr << message << '\n';
    std::exit(1);
}

/* Some of what the measurements need has to be said before the program starts. */
void
ensure_environment(char **argv, bool huge_pages)
{
    constexpr const char *mark = "TIDE_BENCH_ENVIRONMENT";
    /* A cache of freed memory before malloc's own accounting would blur the memory suite, and
     * favours nobody: everything else is large compared with it. */
    std::string tunables = std::string("glibc.malloc.hugetlb=") + (huge_pages ? "1" : "0");

    if (std::strstr(argv[0], "bench_memory"))
        tunables += ":glibc.malloc.tcache_count=0";
    const char *have = std::getenv(mark);

    /* Also where the system gives everybody huge pages. */
    prctl(PR_SET_THP_DISABLE, huge_pages ? 0 : 1, 0, 0, 0);
    if (have && tunables == have)
        return;
    setenv("GLIBC_TUNABLES", tunables.c_str(), 1);
    /* GLib's own slices were removed from later versions: all peers share one allocator. */
    setenv("G_SLICE", "always-malloc", 1);
    setenv(mark, tunables.c_str(), 1);
    execv("/proc/self/exe", argv);
    die("can't start the program anew");
}

std::vector<size_t>
parse_sizes(const char *list)
{
    std::vector<size_t> sizes;
    std::istringstream in(list);
    std::string word;

    while (std::getline(in, word, ',')) {
        char *end;
        size_t size = std::strtoull(word.c_str(), &end, 10);

        if (word.empty() || *end || size < 16 || size > UINT32_MAX)
            die("--sizes: numbers from 16 on, with commas between them");
        sizes.push_back(size);
    }
    return sizes;
}

/* The value of --name=value, or NULL. */
const char *
value_of(const char *argument, const char *name)
{
    size_t length = std::strlen(name);

    return std::strncmp(argument, name, length) == 0 && argument[length] == '='
               ? argument + length + 1
               : nullptr;
}

std::string
first_line_after(const char *path, const char *key)
{
    std::ifstream file(path);
    std::string line;

    while (std::getline(file, line))
        if (line.compare(0, std::strlen(key), key) == 0)
            return line.substr(line.find_first_not_of(" \t:", std::strlen(key)));
    return "unknown";
}

std::string
selected(const char *path)
{
    std::ifstream file(path);
    std::string line;

    std::getline(file, line);
    size_t begin = line.find('['), end = line.find(']');
    return begin < end && end != std::string::npos ? line.substr(begin + 1, end - begin - 1)
                                                   : "unknown";
}

} // namespace

bool
is_short(int argc, char **argv)
{
    return std::any_of(argv, argv + argc,
                       [](const char *argument) { return std::strcmp(argument, "--short") == 0; });
}

/* One report for many groups, and names without the suffixes that Google Benchmark appends. */
class program::reporter : public benchmark::BenchmarkReporter
{
  public:
    explicit reporter(const std::string &out)
        : console_(isatty(STDOUT_FILENO) ? benchmark::ConsoleReporter::OO_ColorTabular
                                         : benchmark::ConsoleReporter::OO_Tabular)
    {
        if (out.empty())
            return;
        file_.open(out);
        if (!file_)
            die("can't write " + out);
        json_.SetOutputStream(&file_);
        json_.SetErrorStream(&std::cerr);
    }

    bool
    ReportContext(const Context &given) override
    {
        if (begun_)
            return true;
        Context context = given;

        begun_ = true;
        context.name_field_width = 52;
        console_.SetOutputStream(&GetOutputStream());
        console_.SetErrorStream(&GetErrorStream());
        return console_.ReportContext(context) &&
               (!file_.is_open() || json_.ReportContext(context));
    }

    void
    ReportRuns(const std::vector<Run> &given) override
    {
        std::vector<Run> runs = given;

        for (Run &run : runs) {
            /* Where time is taken by hand, that of the processor is of everything around it too. */
            if (!run.run_name.time_type.empty())
                run.cpu_accumulated_time = run.real_accumulated_time;
            run.run_name.time_type.clear();
            run.run_name.iterations.clear();
            run.run_name.repetitions.clear();
            run.run_name.min_time.clear();
        }
        console_.ReportRuns(runs);
        if (file_.is_open())
            json_.ReportRuns(runs);
        file_.flush();
    }

    /* Of all groups; Finalize comes after each. */
    void
    end()
    {
        if (begun_ && file_.is_open())
            json_.Finalize();
    }

  private:
    benchmark::ConsoleReporter console_;
    benchmark::JSONReporter json_;
    std::ofstream file_;
    bool begun_ = false;
};

program::program(int argc, char **argv, const bench_defaults &defaults)
{
    std::vector<char *> rest;
    std::vector<std::string> flags;
    bool has_commit = false;

    options_.brief = is_short(argc, argv);
    if (options_.brief)
        options_.large = 100000;
    for (int i = 0; i < argc; i++) {
        const char *value;

        if (std::strcmp(argv[i], "--short") == 0) {
            continue;
        } else if ((value = value_of(argv[i], "--sizes"))) {
            options_.sizes = parse_sizes(value);
        } else if ((value = value_of(argv[i], "--pages"))) {
            if (std::strcmp(value, "4k") != 0 && std::strcmp(value, "2m") != 0)
                die("--pages: 4k or 2m");
            options_.huge_pages = *value == '2';
        } else if ((value = value_of(argv[i], "--seconds"))) {
            options_.seconds = std::atof(value);
        } else if ((value = value_of(argv[i], "--histogram_out"))) {
            options_.histogram_out = value;
        } else if ((value = value_of(argv[i], "--benchmark_out"))) {
            out_ = value;
        } else if (value_of(argv[i], "--benchmark_out_format")) {
            if (std::strcmp(argv[i], "--benchmark_out_format=json") != 0)
                die("--benchmark_out_format: only json");
        } else {
            has_commit = has_commit || std::strstr(argv[i], "--benchmark_context=commit=");
            rest.push_back(argv[i]);
        }
    }
    ensure_environment(argv, options_.huge_pages);
    memory::huge_pages = options_.huge_pages;
    if (options_.huge_pages)
        mallopt(M_TRIM_THRESHOLD, INT_MAX); /* as at the end of a round */
    if (options_.sizes.empty())
        options_.sizes = defaults.sizes;

    /* The defaults go first: of two flags the latter counts. */
    flags = { std::string("--benchmark_repetitions=") + defaults.repetitions,
              std::string("--benchmark_min_time=") + defaults.min_time,
              "--benchmark_enable_random_interleaving=true" };
    for (std::string &flag : flags)
        rest.insert(rest.begin() + 1, flag.data());
    int count = static_cast<int>(rest.size());
    rest.push_back(nullptr);
    benchmark::Initialize(&count, rest.data());
    if (benchmark::ReportUnrecognizedArguments(count, rest.data()))
        std::exit(1);
    reporter_ = std::make_unique<reporter>(out_);

    std::string sizes;

    for (size_t size : options_.sizes)
        sizes += (sizes.empty() ? "" : ",") + std::to_string(size);
#ifdef TIDE_BENCH_COMMIT
    if (!has_commit)
        context("commit", TIDE_BENCH_COMMIT);
#endif
    context("cpu", first_line_after("/proc/cpuinfo", "model name"));
    context("pages", options_.huge_pages ? "2m" : "4k");
    context("allocator",
            options_.huge_pages
                ? "C library with huge pages (glibc.malloc.hugetlb=1); arrays and chunks of 2 MiB "
                  "and more (tidemark, splus) aligned to huge pages"
                : "C library");
    context("isa", tidemark::isa_name(TIDE_ISA_BEST));
    context("splus_isa", splus::tree::isa());
    context("transparent_hugepages", selected("/sys/kernel/mm/transparent_hugepage/enabled"));
    context("short", options_.brief ? "yes" : "no");
    context("sizes", sizes);
    context("peers", peer_names());
#ifdef TIDE_BENCH_LINUX
    context("linux", TIDE_BENCH_LINUX);
#endif
}

program::~program()
{
    reporter_->end();
}

void
program::context(const std::string &key, const std::string &value)
{
    benchmark::AddCustomContext(key, value);
}

bool
program::wanted(const std::string &name) const
{
    std::string filter = benchmark::GetBenchmarkFilter();
    regex_t regex;

    if (filter.empty() || filter == "all")
        return true;
    bool negative = filter[0] == '-';

    if (regcomp(&regex, filter.c_str() + negative, REG_EXTENDED | REG_NOSUB) != 0)
        die("--benchmark_filter: not a regular expression");
    bool match = regexec(&regex, name.c_str(), 0, nullptr, 0) == 0;
    regfree(&regex);
    return match != negative;
}

benchmark::internal::Benchmark *
program::add(const std::string &name, std::function<void(benchmark::State &)> run)
{
    if (!wanted(name))
        return nullptr;
    added_++;
    return benchmark::RegisterBenchmark(name.c_str(), std::move(run));
}

void
program::run_group()
{
    if (added_ != 0)
        benchmark::RunSpecifiedBenchmarks(reporter_.get(), nullptr, "all");
    benchmark::ClearRegisteredBenchmarks();
    added_ = 0;
}

double
huge_fraction()
{
    std::ifstream file("/proc/self/smaps_rollup");
    std::string word;
    double anonymous = 0, huge = 0;

    while (file >> word) {
        if (word == "Anonymous:")
            file >> anonymous;
        else if (word == "AnonHugePages:")
            file >> huge;
    }
    return anonymous > 0 ? huge / anonymous : -1;
}

round_data::~round_data()
{
    /* What comes next must not begin with somebody's fragments. */
    peers_.clear();
#ifdef TIDE_BENCH_LINUX
    linux_memory_trim();
#endif
    /* It would break huge pages up. */
    if (!memory::huge_pages)
        malloc_trim(0);
}
