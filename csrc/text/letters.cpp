#include "text/letters.hpp"

#include <algorithm>
#include <array>

#include "common/simd.hpp"
#include "text/plain.hpp"

namespace rerec {

using std::string_view;

namespace {

constexpr std::array<char, 256> make_letters() {
  std::array<char, 256> table{};
  for (size_t i = 0; i < table.size(); ++i) {
    const char c = static_cast<char>(i);
    const bool odd = i >= 0x80 || c == '&' || is_plain_apostrophe(c);
    table[i] = odd ? kOddLetter : !is_plain_word(c) ? ' ' : is_capital(c) ? static_cast<char>(c + 32) : c;
  }
  return table;
}
constexpr std::array<char, 256> kLetters = make_letters();

bool begins_upper(char before, char c) {
  return c == '&' || (is_plain_word(c) && !is_small(c) && !is_plain_word(before));
}

#if defined(REREC_AVX2)
struct Blocks {
  size_t end, count;  // how far they go, and the starts found
  bool ascii;
};

REREC_AVX2 Blocks read_blocks(string_view text, size_t end, char* letters, uint32_t* starts) {
  constexpr size_t kBlock = 32;
  const __m256i case_bit = _mm256_set1_epi8(0x20), high_bit = _mm256_set1_epi8(kOddLetter);
  const __m256i letter_a = _mm256_set1_epi8('a'), digit_0 = _mm256_set1_epi8('0');
  const __m256i letters_more = _mm256_set1_epi8('z' - 'a'), digits_more = _mm256_set1_epi8('9' - '0');
  const __m256i quote = _mm256_set1_epi8('\''), tick = _mm256_set1_epi8('`'), ampersand = _mm256_set1_epi8('&');
  unsigned word_before = 0, all_beyond = 0;
  size_t i = 0, count = 0;
  for (; i + kBlock <= end; i += kBlock) {
    const __m256i block = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text.data() + i));
    const __m256i lower = _mm256_or_si256(block, case_bit);
    const __m256i from_a = _mm256_sub_epi8(lower, letter_a), from_0 = _mm256_sub_epi8(block, digit_0);
    const __m256i is_letter = _mm256_cmpeq_epi8(_mm256_min_epu8(from_a, letters_more), from_a);
    const __m256i is_number = _mm256_cmpeq_epi8(_mm256_min_epu8(from_0, digits_more), from_0);
    const __m256i known = _mm256_or_si256(is_letter, is_number), is_and = _mm256_cmpeq_epi8(block, ampersand);
    const __m256i apostrophe = _mm256_or_si256(_mm256_cmpeq_epi8(block, quote), _mm256_cmpeq_epi8(block, tick));
    const __m256i odd = _mm256_or_si256(_mm256_or_si256(block, is_and), apostrophe);
    // What is no letter becomes a blank, its high bit set where it is odd.
    const __m256i out = _mm256_or_si256(_mm256_and_si256(lower, known),
                                        _mm256_andnot_si256(known, _mm256_and_si256(odd, high_bit)));
    const __m256i blank = _mm256_and_si256(_mm256_cmpeq_epi8(out, _mm256_setzero_si256()), case_bit);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(letters + i), _mm256_or_si256(out, blank));
    const unsigned beyond = static_cast<unsigned>(_mm256_movemask_epi8(block));
    all_beyond |= beyond;
    const unsigned word = static_cast<unsigned>(_mm256_movemask_epi8(known)) | beyond;
    const __m256i small = _mm256_and_si256(is_letter, _mm256_cmpeq_epi8(lower, block));
    const unsigned upper = word & ~static_cast<unsigned>(_mm256_movemask_epi8(small));
    unsigned mask = (upper & ~(word << 1 | word_before)) | static_cast<unsigned>(_mm256_movemask_epi8(is_and));
    word_before = word >> 31;
    const size_t more = static_cast<size_t>(__builtin_popcount(mask));
    const auto write = [&](size_t n) {  // the padding takes what is beyond the last
      starts[count + n] = static_cast<uint32_t>(i) + static_cast<uint32_t>(__builtin_ctz(mask | 1u << 31));
      mask &= mask - 1;
    };
    for (size_t n = 0; n < 3; ++n) write(n);  // seldom more
    for (size_t n = 3; n < more; ++n) write(n);
    count += more;
  }
  return {i, count, all_beyond == 0};
}
#endif

}  // namespace

void Letters::reserve(size_t size) {
  if (size <= capacity_ && bytes_ != nullptr) return;
  capacity_ = size + size / 2;
  bytes_.reset(new char[capacity_ + 2 * kPadding]);
  starts_.reset(new uint32_t[capacity_ + kPadding]);
  std::memset(bytes_.get(), ' ', kPadding);
}

bool Letters::read(string_view text, size_t end) {
  reserve(end);
  char* letters = bytes_.get() + kPadding;
  uint32_t* starts = starts_.get();
  size_t i = 0;
  bool ascii = true;
  count_ = 0;
#if defined(REREC_AVX2)
  if (has_avx2()) {
    const Blocks blocks = read_blocks(text, end, letters, starts);
    i = blocks.end;
    count_ = blocks.count;
    ascii = blocks.ascii;
  }
#endif
  for (; i < end; ++i) {
    ascii = ascii && static_cast<signed char>(text[i]) >= 0;
    letters[i] = kLetters[static_cast<unsigned char>(text[i])];
    if (begins_upper(i > 0 ? text[i - 1] : ' ', text[i])) starts[count_++] = static_cast<uint32_t>(i);
  }
  std::memset(letters + end, ' ', kPadding);
  return ascii;
}

void NameStarts::build() {
  size_t size = 2;
  for (shift_ = 63; size < 2 * names_.size(); size *= 2) --shift_;
  table_.assign(size, 0);
  for (const std::string& name : names_) {
    const std::string padded = name + "        ";
    const size_t first = name.find(' ');
    // Before a second word further off or an odd one stands a blank or kOddLetter.
    uint64_t bits = ~uint64_t{0};
    if (first != string_view::npos) {
      const auto bit = [](char letter) { return uint64_t{1} << (static_cast<unsigned char>(letter ^ ' ') & 63); };
      bits = bit(' ') | bit(kOddLetter) | bit(name[first + 1]);
    }
    const LetterBlock block(padded.data());
    table_[up_to(block.bytes, block.first_blank() | kLastBit) * kMultiplier >> shift_] |= bits;
  }
  names_.clear();
  names_.shrink_to_fit();
}

size_t NameStarts::choose(const char* letters, uint32_t* starts, size_t count) const {
  size_t kept = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t start = starts[i];
    starts[kept] = start;
    kept += may_begin(letters + start);
  }
  return kept;
}

}  // namespace rerec
