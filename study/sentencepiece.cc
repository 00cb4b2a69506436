#include "study/sentencepiece.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

struct sentencepiece_model {
    sentencepiece::SentencePieceProcessor processor;
};

namespace
{

void reason(char why[SENTENCEPIECE_WHY], const char *text)
{
    std::snprintf(why, SENTENCEPIECE_WHY, "%s", text);
}

bool succeeded(const sentencepiece::util::Status &status, char why[SENTENCEPIECE_WHY])
{
    if (!status.ok()) {
        reason(why, status.error_message());
    }
    return status.ok();
}

/* No exception leaves for C: work(), or its failure. */
template <typename Work> bool guarded(char why[SENTENCEPIECE_WHY], const Work &work)
{
    try {
        return work();
    } catch (const std::exception &e) {
        reason(why, e.what());
    } catch (...) {
        reason(why, "unknown exception");
    }
    return false;
}

class Lines : public sentencepiece::SentenceIterator
{
  public:
    Lines(sentencepiece_line_fn *next, void *context) : next_(next), context_(context)
    {
        Next();
    }
    bool done() const override
    {
        return done_;
    }
    void Next() override
    {
        const char *line = nullptr;
        size_t length = 0;
        done_ = !next_(context_, &line, &length);
        value_.assign(done_ ? "" : line, done_ ? 0 : length);
    }
    const std::string &value() const override
    {
        return value_;
    }
    sentencepiece::util::Status status() const override
    {
        return sentencepiece::util::Status();
    }

  private:
    sentencepiece_line_fn *next_;
    void *context_;
    bool done_ = false;
    std::string value_;
};

} // namespace

struct sentencepiece_model *sentencepiece_open(const char *model, size_t length,
                                               char why[SENTENCEPIECE_WHY])
{
    struct sentencepiece_model *sp = nullptr;
    const bool opened = guarded(why, [&] {
        sp = new struct sentencepiece_model;
        return succeeded(sp->processor.LoadFromSerializedProto(std::string_view(model, length)),
                         why);
    });
    if (!opened) {
        delete sp;
        return nullptr;
    }
    return sp;
}

void sentencepiece_close(struct sentencepiece_model *sp)
{
    delete sp;
}

int sentencepiece_pieces(const struct sentencepiece_model *sp)
{
    return sp->processor.GetPieceSize();
}

int sentencepiece_find(const struct sentencepiece_model *sp, const char *piece, size_t length)
{
    try {
        const int token = sp->processor.PieceToId(std::string_view(piece, length));
        return sp->processor.IsUnknown(token) ? -1 : token;
    } catch (...) {
        return -1;
    }
}

bool sentencepiece_encode(const struct sentencepiece_model *sp, const char *line, size_t length,
                          uint32_t *tokens, uint32_t *ends, size_t capacity, size_t *count,
                          char why[SENTENCEPIECE_WHY])
{
    return guarded(why, [&] {
        const std::string_view text(line, length);
        if (ends == nullptr) {
            std::vector<int> ids;
            if (!succeeded(sp->processor.Encode(text, &ids), why)) {
                return false;
            }
            *count = ids.size();
            for (size_t i = 0; i < ids.size() && i < capacity; i++) {
                tokens[i] = static_cast<uint32_t>(ids[i]);
            }
            return true;
        }
        const auto pieces = sp->processor.EncodeAsImmutableProto(text);
        *count = pieces.pieces_size();
        for (size_t i = 0; i < *count && i < capacity; i++) {
            const auto piece = pieces.pieces(static_cast<int>(i));
            tokens[i] = piece.id();
            ends[i] = piece.end();
        }
        return true;
    });
}

bool sentencepiece_decode(const struct sentencepiece_model *sp, const uint32_t *tokens,
                          size_t count, char *text, size_t capacity, size_t *bytes,
                          char why[SENTENCEPIECE_WHY])
{
    return guarded(why, [&] {
        const std::vector<int> ids(tokens, tokens + count);
        std::string line;
        if (!succeeded(sp->processor.Decode(ids, &line), why)) {
            return false;
        }
        *bytes = line.size();
        if (capacity > 0) { /* else text may be NULL */
            std::memcpy(text, line.data(), line.size() < capacity ? line.size() : capacity);
        }
        return true;
    });
}

bool sentencepiece_train(const char *const *option, sentencepiece_line_fn *next, void *context,
                         char **model, size_t *length, char why[SENTENCEPIECE_WHY])
{
    return guarded(why, [&] {
        std::unordered_map<std::string, std::string> options;
        for (; option[0] != nullptr; option += 2) {
            options[option[0]] = option[1];
        }
        options["minloglevel"] = "2"; /* errors only */
        Lines lines(next, context);
        std::string trained;
        if (!succeeded(sentencepiece::SentencePieceTrainer::Train(options, &lines, &trained),
                       why)) {
            return false;
        }
        *model = static_cast<char *>(std::malloc(trained.size()));
        if (*model == nullptr) {
            reason(why, "out of memory");
            return false;
        }
        std::memcpy(*model, trained.data(), trained.size());
        *length = trained.size();
        return true;
    });
}
