#include "text/numerals.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace rerec {
namespace {

using std::string_view;
using Pair = std::pair<string_view, string_view>;

// Shortest first.
constexpr Pair kNumerals[] = {
    {"v", "5"}, {"x", "10"}, {"ii", "2"}, {"iv", "4"}, {"vi", "6"}, {"ix", "9"}, {"xi", "11"}, {"xv", "15"},
    {"xx", "20"}, {"iii", "3"}, {"vii", "7"}, {"xii", "12"}, {"xiv", "14"}, {"xvi", "16"}, {"xix", "19"},
    {"one", "1"}, {"two", "2"}, {"six", "6"}, {"ten", "10"}, {"viii", "8"}, {"xiii", "13"}, {"xvii", "17"},
    {"four", "4"}, {"five", "5"}, {"nine", "9"}, {"xviii", "18"}, {"three", "3"}, {"seven", "7"}, {"eight", "8"},
    {"forty", "40"}, {"fifty", "50"}, {"sixty", "60"}, {"first", "1st"}, {"third", "3rd"}, {"fifth", "5th"},
    {"sixth", "6th"}, {"ninth", "9th"}, {"tenth", "10th"}, {"eleven", "11"}, {"twelve", "12"}, {"twenty", "20"},
    {"thirty", "30"}, {"eighty", "80"}, {"ninety", "90"}, {"second", "2nd"}, {"fourth", "4th"}, {"eighth", "8th"},
    {"fifteen", "15"}, {"sixteen", "16"}, {"seventy", "70"}, {"seventh", "7th"}, {"twelfth", "12th"},
    {"thirteen", "13"}, {"fourteen", "14"}, {"eighteen", "18"}, {"nineteen", "19"}, {"eleventh", "11th"},
    {"seventeen", "17"}, {"thirteenth", "13th"}};

constexpr size_t kLongest = 10;

// Where the words of each length begin.
constexpr std::array<size_t, kLongest + 2> make_begins() {
  std::array<size_t, kLongest + 2> begins{};
  for (size_t length = 0; length < begins.size(); ++length) {
    for (const Pair& pair : kNumerals) begins[length] += pair.first.size() < length;
  }
  return begins;
}
constexpr std::array<size_t, kLongest + 2> kBegins = make_begins();

constexpr string_view kTens[] = {"twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"};
constexpr string_view kUnits[] = {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine"};

template <size_t n>
size_t place_in(const string_view (&words)[n], string_view word) {
  return static_cast<size_t>(std::find(words, words + n, word) - words);
}

}  // namespace

string_view numeral(string_view word) {
  if (word.size() > kLongest) return word;
  for (size_t i = kBegins[word.size()]; i < kBegins[word.size() + 1]; ++i) {
    if (word == kNumerals[i].first) return kNumerals[i].second;
  }
  return word;
}

void join_tens(std::vector<string_view>& words, std::vector<std::string>& made) {
  const auto is_ten = [](string_view word) { return place_in(kTens, word) < std::size(kTens); };
  if (std::none_of(words.begin(), words.end(), is_ten)) return;
  made.reserve(words.size());  // views of them stay valid
  size_t kept = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    const size_t unit = i + 1 < words.size() && is_ten(words[i]) ? place_in(kUnits, words[i + 1]) : std::size(kUnits);
    if (unit < std::size(kUnits)) {
      made.push_back(std::to_string((place_in(kTens, words[i]) + 2) * 10 + unit + 1));
      words[kept++] = made.back();
      ++i;
    } else {
      words[kept++] = words[i];
    }
  }
  words.resize(kept);
}

}  // namespace rerec
